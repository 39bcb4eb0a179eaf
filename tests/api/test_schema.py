"""Whatever OpenAPI allows, and more, is asked of every operation: no fault, no answer that is not promised."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.app.fake_engine import FakeEngine

EXAMPLES = 6  # of each operation
STREAMS = ("/api/events",)  # they do not end by themselves


@pytest.mark.filterwarnings("ignore")
def test_no_operation_is_a_fault_or_breaks_its_promise(live: str, engine: FakeEngine) -> None:
    import schemathesis  # here, since it takes most of a second, which workers without this test need not spend
    from schemathesis.checks import not_a_server_error
    from schemathesis.generation import GenerationMode
    from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

    checks = [not_a_server_error, status_code_conformance, response_schema_conformance]
    schema = schemathesis.openapi.from_url(f"{live}/openapi.json")
    tried = set()
    found: Any
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in STREAMS:
            continue
        tried.add(operation.label)

        @given(case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)))
        @settings(
            max_examples=EXAMPLES, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
        )
        def ask(case: Any) -> None:
            case.call_and_validate(checks=checks, timeout=20)

        ask()
    assert len(tried) > 15
    assert engine.state == "ready"
