"""What image files say about how they were made: ours written, ours and others' read. Knows no HTTP and no rows.

Nothing here decodes pixels to read a text, evaluates what it reads, or trusts a length that a file gives.
"""
