"""What one side writes on the wire of gRPC the other reads; and who writes anything is refused."""

import grpc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rescind.actors.rpc._codes import Code
from rescind.actors.rpc.drivers import VERSION, Call
from rescind.actors.rpc.drivers import _grpc_wire as wire

NUMBERS = st.integers(0, 2**63 - 1)
LOG_IDS = st.binary(min_size=1, max_size=32)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)).map(str.strip)
KEYS = st.from_regex(r"[a-z0-9_.-]{1,20}", fullmatch=True).filter(
    lambda key: not key.startswith(("rescind-", "grpc-", "user-agent")) and not key.endswith("-bin")
)
CALLS = st.builds(
    Call, NUMBERS, LOG_IDS, NUMBERS, st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(), st.none(), st.lists(st.tuples(KEYS, VALUES)).map(tuple), st.just(VERSION),
)  # fmt: skip
PLACES = st.builds(wire.Place, NUMBERS, NUMBERS)
ANYTHING = st.lists(
    st.tuples(
        st.sampled_from(["rescind-call", "rescind-version", "rescind-token", "a", "a-bin"]),
        st.text() | st.binary() | st.sampled_from(["1", "00/1/1/1/1", "0/1/1/1/1", "00/1/1/1/-1"]),
    )
)


@given(CALLS, PLACES, st.none() | VALUES)
def test_a_call_is_read_as_it_was_written(call, place, token):
    metadata = wire.call_metadata(call, place, token)
    wire.check_token(metadata, token)
    read = wire.read_call(wire.path_of(call.procedure), metadata, call.payload, None)
    assert read == (call, place)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_path_is_ascii_without_a_further_slash(procedure):
    path = wire.path_of(procedure)
    assert path.isascii()
    assert path.count("/") == 2
    assert wire.procedure_of(path) == procedure


def test_a_procedure_that_is_no_text_is_refused_where_it_arrives():
    with pytest.raises(wire.WireError) as raised:
        wire.procedure_of(wire.path_of("\ud800"))
    assert raised.value.code == Code.PROTOCOL_ERROR


@given(ANYTHING, st.none() | st.text(min_size=1))
@example([("rescind-call", "00/1/1/1/9999999999999999999"), ("rescind-version", "1")], None)
@example([("rescind-call", "00/1/1/1/1\n"), ("rescind-version", "1")], None)
def test_metadata_of_anybody_is_read_or_refused_with_a_code(metadata, token):
    refused = None
    try:
        wire.check_token(metadata, token)
        call, place = wire.read_call("/rescind.Rpc/x", metadata, b"", None)
        assert max(call.request, call.turn, *place) < 2**63
        assert call.version == int(dict(metadata)["rescind-version"])
    except wire.WireError as error:
        refused = error
    if refused is not None:
        assert refused.code in (Code.ACCESS_DENIED, Code.PROTOCOL_ERROR)
        assert len(str(refused)) < 500


@pytest.mark.parametrize("version", ["", "x", "-1", "01", "9999999999", None])
def test_a_version_that_makes_no_sense_is_refused(version):
    metadata = () if version is None else (("rescind-version", version),)
    with pytest.raises(wire.WireError) as raised:
        wire.read_call("/rescind.Rpc/x", (*metadata, ("rescind-call", "00/1/1/1/1")), b"", None)
    assert raised.value.code == Code.PROTOCOL_ERROR


@pytest.mark.parametrize("version", [0, 1, 2, 10])
def test_another_version_is_told_to_the_server(version):
    metadata = (("rescind-version", str(version)), ("rescind-call", "00/1/1/1/1"))
    call, _ = wire.read_call("/rescind.Rpc/x", metadata, b"", None)
    assert call.version == version


@pytest.mark.parametrize("given_token", [None, "", "tokem", "token "])
def test_another_token_is_refused(given_token):
    with pytest.raises(wire.WireError) as raised:
        wire.check_token(wire.greeting(given_token), "token")
    assert raised.value.code == Code.ACCESS_DENIED


@pytest.mark.parametrize(
    ("key", "value"),
    [("Upper", "x"), ("", "x"), ("a b", "x"), ("data-bin", "x"), ("rescind-call", "x"),
     ("grpc-timeout", "1S"), ("a", "ü"), ("a", "x\n"), ("a", " x")],
)  # fmt: skip
def test_metadata_that_cannot_be_sent_is_an_invalid_argument(key, value):
    call = Call(1, b"log", 1, "x", b"", None, ((key, value),))
    with pytest.raises(wire.WireError) as raised:
        wire.call_metadata(call, wire.Place(1, 1), None)
    assert raised.value.code == Code.INVALID_ARG


@given(st.builds(wire.Cancel, LOG_IDS, NUMBERS, NUMBERS, st.booleans()))
def test_a_cancel_is_read_as_it_was_written(cancel):
    assert wire.read_cancel(wire.cancel_message(cancel)) == cancel


@given(st.binary())
@example(b"\x83\xa4call\x92\xc4\x00\x01\xa4turn\x01\xa5abort\xc2")
@example(b"\x83\xa4call\x92\xc4\x01x\xff\xa4turn\x01\xa5abort\xc2")
@example(b"\x83\xa4call\x92\xc4\x01x\xc3\xa4turn\x01\xa5abort\xc2")
@example(b"\x83\xa4call\x92\xa1x\x01\xa4turn\x01\xa5abort\xc2")
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\x91" * 2_000)
def test_a_cancel_of_anybody_is_refused(message):
    with pytest.raises(wire.WireError) as raised:
        wire.read_cancel(message)
    assert raised.value.code == Code.PROTOCOL_ERROR


@given(LOG_IDS, NUMBERS)
def test_a_cause_is_read_as_it_was_written(log_id, turn):
    assert wire.read_cause(wire.cause_metadata((log_id, turn))) == (log_id, turn)


@given(st.text() | st.binary())
@example("0/1")
@example("00/99999999999999999999")
def test_a_cause_that_makes_no_sense_is_none(text):
    assert wire.read_cause([("rescind-cause", text)]) is None
    assert wire.read_cause([]) is None


@given(st.integers(1, 2**32 - 1))
def test_a_code_of_ours_is_read_as_it_was_written_whatever_the_status(code):
    status = wire.status_of(code)
    assert status in grpc.StatusCode.__members__
    assert status != "OK"
    assert wire.code_of(status, "", wire.failure_metadata(code, (b"log", 3))) == code


@pytest.mark.parametrize("code", ["", "0", "-5", "x", "99999999999", "1 "])
def test_a_code_that_makes_no_sense_is_a_protocol_error(code):
    assert wire.code_of("ABORTED", "", [("rescind-code", code)]) == Code.PROTOCOL_ERROR


def test_every_status_of_grpc_but_ok_has_a_code():
    assert set(wire.CODES) == set(grpc.StatusCode.__members__) - {"OK"}


@given(st.text(max_size=50) | st.text(min_size=1_500))
def test_a_text_about_a_failure_is_cut_to_what_grpc_carries(text):
    said = wire.text_of(text)
    assert len(said.encode()) <= wire.TEXT_BYTES_MAX
    is_plain = len(text.encode(errors="backslashreplace")) <= wire.TEXT_BYTES_MAX
    assert said == text.encode(errors="backslashreplace").decode() if is_plain else said[-3:]


@pytest.mark.parametrize(
    "address",
    ["localhost:1", "127.0.0.1:50051", "127.9.9.9", "[::1]:50051", "unix:/run/x", "unix:x",
     "unix-abstract:x", "dns:///localhost:3", "ipv4:127.0.0.1:3", "ipv6:[::1]:3"],
)  # fmt: skip
def test_addresses_of_this_machine_may_be_plain_text(address):
    wire.refuse_plain_text(address, is_safe=False)


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0:1", "[::]:1", ":50051", "192.0.2.1:1", "localhost.example:1", "127.0.0.1.example",
     "example.com", "", "ipv4:127.0.0.1:3,192.0.2.1:3", "dns://192.0.2.1/localhost:3"],
)  # fmt: skip
def test_addresses_beyond_this_machine_need_credentials_or_a_word(address):
    with pytest.raises(ValueError, match="credentials"):
        wire.refuse_plain_text(address, is_safe=False)
    wire.refuse_plain_text(address, is_safe=True)
