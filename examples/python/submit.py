#!/usr/bin/env python3
"""Speaks to a Ghostplane node from Python: info, status, events, an account, and a transaction read from a file.

    pip install grpcio grpcio-tools
    python submit.py --url 127.0.0.1:9900 --account HEX --events 3 --transaction FILE
    python submit.py --url 127.0.0.1:9900 --self-check

The stubs are made from proto/ghostplane/v1/ghostplane.proto when the script runs. Nothing is verified here: a program that
must not trust its node checks receipts and proofs as crates/client does.
"""

import argparse
import importlib
import pathlib
import sys
import tempfile

try:
    import grpc
    from grpc_tools import protoc
except ImportError as missing:
    sys.exit(f"{missing}: pip install grpcio grpcio-tools")

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
TRANSACTION_BYTES_MAX = 16 * 1024
ADDRESS_BYTES = 32


def stubs(proto, into):
    """Makes the modules of the API and imports them."""
    arguments = ["protoc", f"-I{proto}", f"--python_out={into}", f"--grpc_python_out={into}"]
    if protoc.main([*arguments, "ghostplane/v1/ghostplane.proto"]) != 0:
        sys.exit(f"the API's definition under {proto} does not compile")
    sys.path.insert(0, into)
    return (
        importlib.import_module("ghostplane.v1.ghostplane_pb2"),
        importlib.import_module("ghostplane.v1.ghostplane_pb2_grpc"),
    )


def address(text):
    """The 32 bytes of an address in hex."""
    try:
        raw = bytes.fromhex(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not hex: {error}")
    if len(raw) != ADDRESS_BYTES:
        raise argparse.ArgumentTypeError(f"{len(raw)} bytes, an address has {ADDRESS_BYTES}")
    return raw


def failure(error):
    """What the node says of a failed call: its own stable code and name, or gRPC's."""
    metadata = dict(error.trailing_metadata() or ())
    code = metadata.get("ghostplane-code", error.code().name)
    return f"{code} {metadata.get('ghostplane-name', '')}: {error.details()}"


class Node:
    def __init__(self, channel, pb, services, timeout):
        self.pb, self.timeout = pb, timeout
        self.transactions = services.TransactionsStub(channel)
        self.state = services.StateStub(channel)
        self.batches = services.BatchesStub(channel)
        self.events = services.EventsStub(channel)
        self.bridge = services.BridgeStub(channel)
        self.proofs = services.ProofsStub(channel)
        self.node = services.NodeStub(channel)

    def call(self, method, request):
        return method(request, timeout=self.timeout)

    def show_info(self):
        info = self.call(self.node.GetInfo, self.pb.GetInfoRequest())
        print(f"plane {info.plane_id.hex()}, chain {info.chain_id}, version {info.version}, gas price {info.gas_price}")
        if not info.genesis or len(info.plane_id) != 32 or len(info.sequencer) != 32:
            raise AssertionError("the node's info lacks genesis, plane id or the sequencer's key")

    def show_status(self):
        status = self.call(self.node.GetStatus, self.pb.GetStatusRequest())
        print(f"{status.state}, batch {status.batch}, committed {status.committed_batch}, final {status.final_batch}")
        if not status.state:
            raise AssertionError("the node's status has no state")

    def show_account(self, raw):
        account = self.call(self.state.GetAccount, self.pb.GetAccountRequest(address=raw, proof=True))
        known = f"number {account.number}, next {account.next_sequence}" if account.exists else "not there"
        print(f"account {raw.hex()}: {known}, as of batch {account.batch}")
        for balance in account.balances:
            print(f"  {balance.amount} base units of {balance.symbol}")
        if account.address != raw or not account.header or not account.record_proof:
            raise AssertionError("the account's answer is about another, or lacks header or proof")

    def show_events(self, count):
        for _, event in zip(range(count), self.events.Subscribe(self.pb.SubscribeRequest(), timeout=self.timeout)):
            print(f"event {event.WhichOneof('event')}")
            if event.WhichOneof("event") is None:
                raise AssertionError("an event of no kind")

    def submit(self, raw):
        """Whether the transaction was executed and applied."""
        answer = self.call(self.transactions.Submit, self.pb.SubmitRequest(transaction=raw))
        kind = answer.WhichOneof("answer")
        if kind == "refusal":
            print(f"refused: {answer.refusal.code} {answer.refusal.name}: {answer.refusal.message}")
            return False
        if kind != "receipt":
            raise AssertionError("neither receipt nor refusal")
        done = answer.receipt.executed
        print(f"transaction {done.id.hex()} at {done.position} in batch {done.batch}: code {done.code}, fee {done.fee}")
        return done.code == 0

    def self_check(self):
        """Asks every service once. What a node may lack must be said with the right status."""
        pb, code = self.pb, grpc.StatusCode
        self.show_account(bytes(ADDRESS_BYTES))
        self.expect("State.GetRoots", self.state.GetRoots, pb.GetRootsRequest())
        self.expect("Batches.List", self.batches.List, pb.ListBatchesRequest(count=5))
        self.expect("Bridge.GetStatus", self.bridge.GetStatus, pb.GetBridgeStatusRequest())
        self.expect("Transactions.Get", self.transactions.Get, pb.GetTransactionRequest(id=bytes(32)), code.NOT_FOUND)
        self.expect("Proofs.Get", self.proofs.Get, pb.GetProofRequest(batch=1 << 40), code.NOT_FOUND)
        self.expect("State.GetStorage", self.state.GetStorage, pb.GetStorageRequest(), code.UNIMPLEMENTED)
        self.show_events(1)
        answer = self.call(self.transactions.Submit, pb.SubmitRequest(transaction=b"no transaction"))
        if answer.WhichOneof("answer") != "refusal" or not 100 <= answer.refusal.code < 200:
            raise AssertionError("bytes that are no transaction were not refused as the sender's mistake")
        print(f"Transactions.Submit: refused as it must be, {answer.refusal.code} {answer.refusal.name}")

    def expect(self, name, method, request, wanted=grpc.StatusCode.OK):
        found = grpc.StatusCode.OK
        try:
            self.call(method, request)
        except grpc.RpcError as error:
            found = error.code()
            if found != wanted:
                raise AssertionError(f"{name}: {failure(error)}") from error
        if found != wanted:
            raise AssertionError(f"{name}: answered {found.name}, expected {wanted.name}")
        print(f"{name}: {found.name}, as it must be")


def main():
    parser = argparse.ArgumentParser(description="Speaks to a Ghostplane node.")
    parser.add_argument("--url", default="127.0.0.1:9900", help="host:port of the node's gRPC")
    parser.add_argument("--proto", type=pathlib.Path, default=PROTO, help="directory of the API's definition")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds a call may take")
    parser.add_argument("--account", type=address, help="address to show, 64 hex digits")
    parser.add_argument("--events", type=int, default=0, help="how many events to wait for")
    parser.add_argument("--transaction", type=pathlib.Path, help="file with a canonical signed transaction")
    parser.add_argument("--self-check", action="store_true", help="ask every service once")
    options = parser.parse_args()
    raw = options.transaction.read_bytes() if options.transaction else None
    if raw is not None and len(raw) > TRANSACTION_BYTES_MAX:
        sys.exit(f"{options.transaction} has {len(raw)} bytes, a transaction has at most {TRANSACTION_BYTES_MAX}")

    with tempfile.TemporaryDirectory() as into:
        pb, services = stubs(options.proto, into)
        with grpc.insecure_channel(options.url.removeprefix("http://")) as channel:
            node = Node(channel, pb, services, options.timeout)
            try:
                node.show_info()
                node.show_status()
                if options.account:
                    node.show_account(options.account)
                if options.events:
                    node.show_events(options.events)
                if options.self_check:
                    node.self_check()
                if raw is not None and not node.submit(raw):
                    return 1
            except grpc.RpcError as error:
                print(f"failed: {failure(error)}", file=sys.stderr)
                return 2
            except AssertionError as error:
                print(f"wrong: {error}", file=sys.stderr)
                return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
