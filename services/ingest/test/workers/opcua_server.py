# asyncua's server with history in memory. Commands come as lines of JSON on standard input: [{node, value, status, sourceUs}, …].
import asyncio, json, logging, sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from asyncua import Server, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID


async def main(port, folder):
    logging.disable(logging.CRITICAL)
    key, cert, uri = folder / "key.pem", folder / "cert.der", "urn:plant:asyncua"
    await setup_self_signed_certificate(key, cert, uri, "127.0.0.1", [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH], {"commonName": "asyncua"})
    server = Server()
    await server.init()
    await server.set_application_uri(uri)
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    await server.load_certificate(str(cert))
    await server.load_private_key(str(key))
    space = await server.register_namespace("urn:plant:press")
    nodes = {}
    for name in ("force", "stroke"):
        nodes[name] = await server.nodes.objects.add_variable(ua.NodeId(name, space), name, 0.0, ua.VariantType.Double)
    async with server:
        for node in nodes.values():
            await server.historize_node_data_change(node, period=None, count=10000)
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        print("ready", flush=True)
        while line := await lines.readline():
            for each in json.loads(line):
                time = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=each["sourceUs"])
                status = ua.StatusCode(getattr(ua.StatusCodes, each.get("status", "Good")))
                value = ua.DataValue(ua.Variant(each["value"], ua.VariantType.Double), StatusCode=status, SourceTimestamp=time)
                await nodes[each["node"]].write_value(value)
            print("set", flush=True)


asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
