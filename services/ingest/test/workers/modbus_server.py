# pymodbus' server: holding and input registers 0-99 hold their own address, coils and discrete inputs alternate, and a few registers
# hold wider values; addresses from 100 are illegal.
import asyncio, logging, struct, sys
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import StartAsyncTcpServer


async def main(port):
    logging.disable(logging.CRITICAL)
    registers = list(range(100))
    registers[10:12] = struct.unpack(">HH", struct.pack(">f", 21.5))
    registers[12:14] = struct.unpack(">HH", struct.pack(">i", -70000))[::-1]
    registers[14:18] = struct.unpack(">HHHH", struct.pack(">d", 1e-3))
    registers[18] = 0xFFFE
    registers[20:22] = struct.unpack(">HH", struct.pack(">f", float("nan")))
    bits = [address % 2 == 1 for address in range(100)]
    block = lambda values: ModbusSequentialDataBlock(1, values)  # the block's addresses count from 1
    device = ModbusDeviceContext(di=block(bits), co=block(bits), hr=block(registers), ir=block(registers))
    context = ModbusServerContext(devices={7: device}, single=False)
    asyncio.get_running_loop().call_later(0.5, lambda: print("ready", flush=True))
    await StartAsyncTcpServer(context, address=("127.0.0.1", port))


asyncio.run(main(int(sys.argv[1])))
