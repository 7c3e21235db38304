# python-snap7's server with one data block: REAL 1.5 at 0, INT -3 at 4, DINT 70000 at 6, bit 10.3.
import ctypes, logging, struct, sys, time
import snap7
from snap7.server import Server
from snap7.type import SrvArea

logging.disable(logging.CRITICAL)
server = Server(log=False)
block = (ctypes.c_ubyte * 64)()
block[0:4] = struct.pack(">f", 1.5)
block[4:6] = struct.pack(">h", -3)
block[6:10] = struct.pack(">i", 70000)
block[10] = 0b0000_1000
server.register_area(SrvArea.DB, 1, block)
server.start_to("127.0.0.1", int(sys.argv[1])) if hasattr(server, "start_to") else server.start(tcp_port=int(sys.argv[1]))
print("ready", flush=True)
while True:
    time.sleep(1)
