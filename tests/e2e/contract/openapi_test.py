#!/usr/bin/env python3
"""openapi_test.py FATHOM [EXAMPLES]

Holds a server against its own /openapi.json with schemathesis: whatever is sent to an operation, good or bad, must be
answered as the document says (EXAMPLES at random of each, 10 unless told, besides those at its bounds). That bad values
are refused is for the unit tests: fields that are not known are ignored here, which the tool would call a fault. The
model is tiny and random. Run with the packages of requirements.txt; ends with "N passed, N failed".
"""
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from serving import Home, Server, tiny_model  # noqa: E402

CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
          "unsupported_method,allow_header_conformance")
# Other names of operations that are asked by their first one.
SAME = "^/(beta/|anthropic/|chat/|completions$|models|embeddings$|api/embeddings$)"


def main():
    fathom = str(pathlib.Path(sys.argv[1]).resolve())
    examples = sys.argv[2] if len(sys.argv) > 2 else "10"
    tool = pathlib.Path(sys.executable).with_name("schemathesis")
    with tempfile.TemporaryDirectory() as folder:
        home = Home(fathom, tiny_model(folder), folder)
        report = pathlib.Path(folder) / "junit.xml"
        with Server(home, "--ctx", "256", "--log-file", str(home.folder / "log")) as server:
            done = subprocess.run([tool, "run", f"http://127.0.0.1:{server.port}/openapi.json", "--no-color",
                                   "--checks", CHECKS, "--phases", "coverage,fuzzing", "--max-examples", examples,
                                   "--generation-deterministic", "--suppress-health-check", "all",
                                   "--continue-on-failure", "--request-timeout", "60", "--warnings", "off",
                                   "--exclude-path-regex", SAME, "--report-junit-path", report], cwd=folder)
            alive = server.ask("/health")[0] == 200
        cases = list(xml.etree.ElementTree.parse(report).iter("testcase")) if report.exists() else []
    failed = sum(any(case.find(kind) is not None for kind in ("failure", "error")) for case in cases)
    if not cases or not alive or (done.returncode != 0 and failed == 0):
        failed += 1
    print(f"{len(cases) - failed if cases else 0} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
