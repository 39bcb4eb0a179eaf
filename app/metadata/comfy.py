"""ComfyUI's graphs: what a sampler node was given, followed back through the links to prompts, size and checkpoint.

`prompt` is the graph as it was run, `{id: {class_type, inputs}}`; `workflow` is the editor's drawing of it, in which
the values of a node have no names, so that only the common nodes can be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.metadata.found import Found

MAX_NODES = 5_000
MAX_DEPTH = 50
MAX_SAMPLERS = 50  # of which each is followed back through the whole graph
SAMPLING = {
    "steps": "steps",
    "cfg": "guidance_scale",
    "sampler_name": "sampler",
    "scheduler": "scheduler",
    "seed": "seed",
    "noise_seed": "seed",
}
WIDGETS = {  # the order of the editor's values, None for those that are only the editor's
    "KSampler": ("seed", None, "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": ("add_noise", "noise_seed", None, "steps", "cfg", "sampler_name", "scheduler"),
    "CLIPTextEncode": ("text",),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
}
PARTS = (*SAMPLING, "denoise", "positive", "negative", "conditioning", "latent_image", "model")
TEXT_INPUTS = ("text", "text_g", "string", "prompt", "value", "wildcard_text", "populated_text", "positive", "negative")
Graph = Mapping[str, Any]


def read(prompt: Graph | None, workflow: Graph | None) -> Found | None:
    """Return what the graph says, None if no node in it samples."""
    graph = prompt if prompt is not None else _drawn(workflow or {})
    nodes = {str(name): node for name, node in list(graph.items())[:MAX_NODES] if isinstance(node, dict)}
    found = Found("ComfyUI")
    sampler = _sampler(nodes)
    if sampler is None:
        return None
    inputs = _inputs(sampler)
    for name, ours in SAMPLING.items():
        if name in inputs:
            found.take(ours, _value(nodes, inputs[name]), known_as=name)
    _take_strength(found, nodes, inputs)
    found.take("prompt", _text(nodes, inputs.get("positive")))
    found.take("negative_prompt", _text(nodes, inputs.get("negative")))
    _take_size(found, nodes, inputs.get("latent_image"))
    _take_model(found, nodes, inputs.get("model"))
    return found


def _sampler(nodes: Graph) -> dict[str, Any] | None:
    """The node that samples; of several the one that starts from an empty latent, and so decides the picture."""
    sampling = [node for node in nodes.values() if {"steps", "sampler_name"} <= _inputs(node).keys()]
    for node in sampling[:MAX_SAMPLERS]:
        if any("width" in _inputs(other) for other in _back(nodes, _inputs(node).get("latent_image"))):
            return dict(node)
    return dict(sampling[0]) if sampling else _scattered(nodes)


def _scattered(nodes: Graph) -> dict[str, Any] | None:
    """The parts of a custom sampler as one node: noise, guider, schedule and sampler are nodes of their own there."""
    if not any(str(node.get("class_type")).startswith("SamplerCustom") for node in nodes.values()):
        return None
    inputs: dict[str, Any] = {}
    for node in nodes.values():
        inputs = {name: value for name, value in _inputs(node).items() if name in PARTS} | inputs
    inputs.setdefault("positive", inputs.get("conditioning"))
    return {"inputs": inputs}


def _inputs(node: Any) -> dict[str, Any]:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _node(nodes: Graph, link: Any) -> Any:
    """The node that a link `[id, output]` comes from."""
    return nodes.get(str(link[0])) if isinstance(link, list) and len(link) == 2 else None


def _back(nodes: Graph, link: Any) -> Iterator[dict[str, Any]]:
    """The nodes from which this link comes, the nearest first, each once."""
    seen: set[int] = set()
    line = [link]
    for current in line:
        node = _node(nodes, current)
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        line.extend(value for value in _inputs(node).values() if isinstance(value, list))


def _value(nodes: Graph, value: Any, depth: int = 0) -> Any:
    """A value, or the first plain one of the node that it is linked to."""
    node = _node(nodes, value)
    if node is None or depth > MAX_DEPTH:
        return None if isinstance(value, list) else value
    return next((_value(nodes, item, depth + 1) for item in _inputs(node).values()), None)


def _text(nodes: Graph, link: Any) -> str | None:
    """The text that conditions: of the nearest node that has one, through combiners and string nodes."""
    for node in _back(nodes, link):
        inputs = _inputs(node)
        for name in TEXT_INPUTS:
            value = inputs.get(name)
            if isinstance(value, str):
                return value
    return None


def _take_strength(found: Found, nodes: Graph, inputs: Mapping[str, Any]) -> None:
    strength = _value(nodes, inputs.get("denoise"))
    if strength not in (None, 1, 1.0):
        found.take("strength", strength, known_as="denoise")


def _take_size(found: Found, nodes: Graph, link: Any) -> None:
    for node in _back(nodes, link):
        inputs = _inputs(node)
        if "width" in inputs and "height" in inputs:
            found.take("width", _value(nodes, inputs["width"]))
            found.take("height", _value(nodes, inputs["height"]))
            return


def _take_model(found: Found, nodes: Graph, link: Any) -> None:
    loras = []
    for node in _back(nodes, link):
        inputs = _inputs(node)
        if isinstance(inputs.get("lora_name"), str):
            loras.append(f"{inputs['lora_name']} ({inputs.get('strength_model', 1)})")
        name = inputs.get("ckpt_name") or inputs.get("unet_name")
        if isinstance(name, str):
            found.values.setdefault("checkpoint", name)
    found.take("loras", ", ".join(loras[:20]))


def _drawn(workflow: Graph) -> dict[str, Any]:
    """Turn the editor's drawing into a graph as it would be run, for the nodes whose values we can name."""
    links = workflow.get("links")
    nodes = workflow.get("nodes")
    if not isinstance(links, list) or not isinstance(nodes, list):
        return {}
    whole = (link for link in links if isinstance(link, list) and len(link) >= 3 and isinstance(link[0], int))
    sources = {link[0]: [str(link[1]), link[2]] for link in whole}
    return {str(node.get("id")): _drawn_node(node, sources) for node in nodes[:MAX_NODES] if isinstance(node, dict)}


def _drawn_node(node: Mapping[str, Any], sources: Mapping[Any, list[Any]]) -> dict[str, Any]:
    values = node.get("widgets_values")
    names = WIDGETS.get(str(node.get("type")), ())
    inputs = (
        {name: value for name, value in zip(names, values, strict=False) if name} if isinstance(values, list) else {}
    )
    plugs = node.get("inputs")
    for plug in plugs if isinstance(plugs, list) else ():
        link = plug.get("link") if isinstance(plug, dict) else None
        if isinstance(link, int) and link in sources:
            inputs[str(plug.get("name"))] = sources[link]
    return {"class_type": node.get("type"), "inputs": inputs}
