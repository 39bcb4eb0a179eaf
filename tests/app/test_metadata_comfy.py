"""ComfyUI's graphs, however they are drawn: settings are found, and the search ends."""

from __future__ import annotations

import json

from tests.app.test_metadata_others import COMMON, KSAMPLER, file_with, found_in

WORKFLOW = {
    "nodes": [
        {
            "id": 3,
            "type": "KSampler",
            "widgets_values": [42, "fixed", 25, 6.5, "dpmpp_2m", "karras", 0.6],
            "inputs": [{"name": "positive", "link": 1}, {"name": "latent_image", "link": 2}],
        },
        {"id": 6, "type": "CLIPTextEncode", "widgets_values": ["a lake"]},
        {"id": 5, "type": "EmptyLatentImage", "widgets_values": [512, 768, 1]},
    ],
    "links": [[1, 6, 0, 3, 1, "CONDITIONING"], [2, 5, 0, 3, 3, "LATENT"]],
}


def test_it_reads_a_drawing_of_a_graph_where_there_is_no_graph() -> None:
    found = found_in(file_with({"workflow": json.dumps(WORKFLOW)}))
    expected = {"prompt": "a lake", "steps": 25, "seed": 42, "width": 512, "height": 768, "strength": 0.6}
    assert found.values | expected == found.values
    assert found.values["sampler"] == "dpmpp_2m"


def test_it_reads_a_custom_sampler_out_of_its_parts() -> None:
    graph = {
        "1": {"class_type": "SamplerCustomAdvanced", "inputs": {"noise": ["2", 0], "latent_image": ["5", 0]}},
        "2": {"class_type": "RandomNoise", "inputs": {"noise_seed": 42}},
        "3": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "4": {"class_type": "BasicScheduler", "inputs": {"scheduler": "beta", "steps": 25, "denoise": 1.0}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768}},
        "6": {"class_type": "CFGGuider", "inputs": {"cfg": 6.5, "positive": ["7", 0], "negative": ["8", 0]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "a lake"}},
        "8": {"class_type": "CLIPTextEncode", "inputs": {"text": "fog"}},
    }
    values = found_in(file_with({"prompt": json.dumps(graph)})).values
    assert values == {**COMMON, "prompt": "a lake", "sampler": "euler", "scheduler": "beta"}


def test_a_graph_that_goes_round_in_circles_ends() -> None:
    graph = {
        "3": {"class_type": "KSampler", "inputs": {**KSAMPLER, "seed": ["9", 0], "positive": ["9", 0]}},
        "9": {"class_type": "Loop", "inputs": {"a": ["9", 0], "b": ["3", 0]}},
    }
    assert found_in(file_with({"prompt": json.dumps(graph)})).values["steps"] == 25
