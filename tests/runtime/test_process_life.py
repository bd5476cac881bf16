"""Programs that end without closing their runtime end all the same, and their log is clean."""

import subprocess
import sys

import pytest

from rescind.events import Completed, How, Stop, read
from rescind.replay import Verdict, check

PROLOGUE = """
import sys, threading
from rescind import Actor, Runtime, newton
from rescind.actors.runtime import Reply

class Echo(Actor):
    def on_receive(self, message):
        return message

def connect(runtime):
    endpoint = newton.Endpoint(runtime, newton.twin())
    endpoint.bind()
    endpoint.connect()
    return endpoint

def blocked(*functions):
    "Run each function in a daemon thread and return when all of them wait."
    waiting = runtime._waiting
    before = len(waiting)
    for function in functions:
        threading.Thread(target=quietly, args=(function,), daemon=True).start()
    while len(waiting) < before + len(functions):
        pass

def quietly(function):
    try:
        function()
    except BaseException:
        pass

runtime = Runtime.open(sys.argv[1], durability=sys.argv[2])
"""

PROGRAMS = {
    "nothing happened": "",
    "an actor was started": "runtime.start(Echo)",
    "an actor was asked": "assert runtime.start(Echo).ask(1) == 1",
    "an actor was told and nobody waited": "runtime.start(Echo).tell(1)",
    "requests are outstanding": """
endpoint = connect(runtime)
for _ in range(100):
    endpoint.output("x", asynchronous=True, completion_script=lambda *_: None)
""",
    "a cancel is under way": """
endpoint = newton.Endpoint(runtime, newton.twin(holds_kills=True))
endpoint.bind()
endpoint.connect()
endpoint.output("x", asynchronous=True)
endpoint.cancel(asynchronous=True)
""",
    "a timer is set": """
class Late(Actor):
    def on_receive(self, message):
        self.send_after(3600, "late")
runtime.start(Late).ask("go")
connect(runtime).output("x", asynchronous=True, timeout_s=3600)
""",
    "daemon threads are blocked": """
endpoint = connect(runtime)
request = endpoint.output("x", asynchronous=True)
blocked(request.get, lambda: endpoint.output("y"), Reply(runtime).get)
""",
    "an actor waits inside a turn": """
endpoint = connect(runtime)
class Sends(Actor):
    def on_receive(self, message):
        return endpoint.output(message)
ref = runtime.start(Sends)
blocked(lambda: ref.ask("x"))
""",
    "a script is blocked in a synchronous call": """
endpoint, twin = None, newton.twin()
entered = threading.Event()
endpoint = newton.Endpoint(runtime, twin)
endpoint.bind()
endpoint.connect()
def script(endpoint, options, result):
    entered.set()
    quietly(lambda: endpoint.output("inner"))
request = endpoint.output("x", asynchronous=True, completion_script=script)
runtime.flush()
twin.complete(request.number)
assert entered.wait(10)
while not runtime._waiting:
    pass
""",
    "the program exits in the middle": """
endpoint = connect(runtime)
endpoint.output("x", asynchronous=True)
sys.exit(0)
""",
}


def run(program, path, durability, pytestconfig):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PROLOGUE + program, str(path), durability],
        env={"PYTHONPATH": str(pytestconfig.rootpath / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def assert_clean(path):
    reader = read(path, verify_chain=True)
    found = list(reader)
    assert not reader.damage
    report = check(read(path))
    assert report.verdict is Verdict.HOLDS, report
    return found


@pytest.mark.parametrize("durability", ["os", "disk"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_never_closes_ends_with_a_clean_log(
    tmp_path, pytestconfig, name, durability
):
    done = run(PROGRAMS[name], tmp_path / "log", durability, pytestconfig)
    assert (done.returncode, done.stderr) == (0, "")
    assert_clean(tmp_path / "log")


def test_what_was_outstanding_is_recorded_as_abandoned(tmp_path, pytestconfig):
    run(PROGRAMS["requests are outstanding"], tmp_path / "log", "os", pytestconfig)
    events = [event for turn in assert_clean(tmp_path / "log") for event in turn.events]
    abandoned = [e for e in events if isinstance(e, Completed) and e.how == How.ABANDONED]
    assert len(abandoned) == 100


def test_actors_are_stopped_when_the_program_ends(tmp_path, pytestconfig):
    run(PROGRAMS["an actor was started"], tmp_path / "log", "os", pytestconfig)
    assert any(isinstance(turn.message, Stop) for turn in assert_clean(tmp_path / "log"))


def test_an_error_of_the_program_comes_out_and_the_log_is_clean_all_the_same(
    tmp_path, pytestconfig
):
    program = PROGRAMS["requests are outstanding"] + "\nraise LookupError('as asked')\n"
    done = run(program, tmp_path / "log", "os", pytestconfig)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "LookupError: as asked"
    assert_clean(tmp_path / "log")


def test_a_program_whose_log_failed_ends_and_says_so_once(tmp_path, pytestconfig):
    program = """
endpoint = connect(runtime)
runtime.log.storage.append = lambda *_: (_ for _ in ()).throw(OSError(28, "full"))
try:
    endpoint.output("x", asynchronous=True).get()
except Exception as error:
    print(type(error).__name__)
"""
    done = run(program, tmp_path / "log", "os", pytestconfig)
    assert done.returncode == 0
    assert done.stdout.split() == ["LogFailedError"]
    assert_opens(tmp_path / "log")


def assert_opens(path):
    reader = read(path)
    list(reader)
    assert all(each.torn for each in reader.damage)


def test_a_forked_child_is_told_that_the_runtime_is_its_parents(tmp_path):
    program = (
        PROLOGUE
        + """
import os
endpoint = connect(runtime)
for _ in range(200):
    endpoint.output("x", asynchronous=True)
child = os.fork()
if child == 0:
    try:
        endpoint.output("from the child", asynchronous=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    sys.exit(0)
os.waitpid(child, 0)
endpoint.output("from the parent", asynchronous=True)
endpoint.cancel()
runtime.close()
"""
    )
    log = str(tmp_path / "forked.log")
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, log, "os"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("RuntimeClosedError this process was forked")
    assert check(read(log)).verdict is not Verdict.BROKEN
    assert not any("from the child" in str(turn.message) for turn in read(log))
