"""The XMP packet that says where a picture is from, by IPTC's DigitalSourceType; in JPEG and WebP with our JSON."""

from __future__ import annotations

import re
from xml.sax.saxutils import quoteattr, unescape

TRAINED = "trainedAlgorithmicMedia"  # http://cv.iptc.org/newscodes/digitalsourcetype/: a model made it alone
COMPOSITE = "compositeWithTrainedAlgorithmicMedia"  # a model changed what came from elsewhere
VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
OURS = "https://mezzotint.example/ns/1.0/"  # a name, not an address; nothing is ever fetched from it
MAX_PACKET = 2**20  # characters
SOURCE_TYPE = re.compile(r"digitalsourcetype/([A-Za-z]{3,60})")
RECIPE = re.compile(r'mezzotint:recipe="([^"]*)"')


def packet(term: str, recipe: str = "") -> str:
    """Return the packet; with `recipe` (ASCII, JSON) it carries that too, for files that have no text chunks."""
    own = f' xmlns:mezzotint="{OURS}" mezzotint:recipe={_attribute(recipe)}' if recipe else ""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '  <rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"\n'
        f'   xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Mezzotint"{own}\n'
        f'   Iptc4xmpExt:DigitalSourceType="{VOCABULARY}{term}"/>\n'
        ' </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="r"?>'
    )


def source_type(text: str) -> str | None:
    """Return the term of IPTC's vocabulary in a packet, whoever wrote it."""
    found = SOURCE_TYPE.search(text[:MAX_PACKET])
    return found[1] if found else None


def own_recipe(text: str) -> str | None:
    """Return the JSON that `packet` put in."""
    found = RECIPE.search(text[:MAX_PACKET])
    return unescape(found[1], {"&quot;": '"'}) if found else None


def _attribute(text: str) -> str:
    return quoteattr(text.replace('"', "\0")).replace("\0", "&quot;")
