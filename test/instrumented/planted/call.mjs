import { createRequire } from 'node:module'

// Makes one of the calls of planted.cc, on the memory of a batch of two entries.
const planted = createRequire(import.meta.url)('./build/Release/planted.node')
planted[process.argv[2]](new Uint8Array(new SharedArrayBuffer(72)))
