// ONNX Runtime's builds for Linux can send usage events over the network and keep a device id in the home folder. A plant's server
// sends nothing to anybody: switched off before the runtime is loaded. Threads have a copy of the environment that the runtime does
// not see, so what starts threads imports this as well as what opens sessions.

process.env['ORT_DISABLE_TELEMETRY'] = '1'
