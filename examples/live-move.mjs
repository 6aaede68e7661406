// Moves a guest's registers and its timebase from one process to another over TCP. In two terminals, or on two hosts
// with a tunnel between them:
//
//     node examples/live-move.mjs receive 7001
//     node examples/live-move.mjs send 7001

import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import {
  loadOneRegState,
  openHost,
  parseOneRegState,
  rehearse,
  saveOneRegState,
  serializeOneRegState,
} from 'kvm-ppc-onereg'

// Only this machine can connect: whoever can write here decides what registers and time the guest has.
const address = '127.0.0.1'

const usage = 'Usage: node examples/live-move.mjs receive|send PORT'
const [command, port, ...rest] = process.argv.slice(2)
if (!['receive', 'send'].includes(command) || !/^\d{1,5}$/.test(port) || rest.length > 0) {
  console.error(`${usage}\nPORT 0 lets the receiver choose one.`)
  process.exit(2)
}

const host = openHost()
try {
  await (command === 'receive' ? receive() : send())
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
} finally {
  host.close()
}

async function send() {
  const socket = connect({ port: Number(port), host: address })
  await once(socket, 'connect')
  const vm = host.createVm()
  const vcpus = [0, 1, 2, 3].map((id) => vm.createVcpu(id))
  for (const vcpu of vcpus) vcpu.set('DAR', 0x1000n + BigInt(vcpu.id))
  console.log('Source: the guest runs, and your monitor sends its memory.')
  // Meanwhile, so that the first save takes no longer than later ones.
  await rehearse(host, { vcpus: vcpus.length })

  // Your monitor stops the vCPUs here, and sends the last of the memory, pc, msr and the general registers
  // (KVM_GET_REGS, KVM_GET_SREGS), and with them this. Saving only reads, so the guest is still whole here.
  const stopped = performance.now()
  socket.end(serializeOneRegState(saveOneRegState(vcpus)))

  const answer = await text(socket).catch(() => '')
  const ms = (performance.now() - stopped).toFixed(1)
  if (answer === 'loaded') {
    console.log(
      `Source: the guest runs over there, after ${ms} ms. It is not needed here any more.`,
    )
  } else if (answer !== '') {
    throw new Error(`Source: the guest runs on here, after ${ms} ms. ${answer}`)
  } else {
    // It must not run twice.
    throw new Error('Source: no answer. The guest stays stopped, as it may run over there by now.')
  }
}

async function receive() {
  // Finds out whether this host can take a guest, before one depends on it, and makes the first load faster.
  await rehearse(host, { vcpus: 4 })
  // The other side ends its half first, and then waits for the answer.
  const server = createServer({ allowHalfOpen: true })
  server.listen(Number(port), address)
  await once(server, 'listening')
  console.log(`Destination: waits on port ${server.address().port}.`)
  const [socket] = await once(server, 'connection')
  server.close()
  try {
    // Without this option, reading to the end would close the other half of the connection as well.
    const state = parseOneRegState(await text(socket.iterator({ destroyOnReturn: false })))
    const vm = host.createVm()
    const vcpus = state.vcpus.map(({ id }) => vm.createVcpu(id))

    // You know how long a move takes at most. If it seems to have taken longer, the clocks of the two
    // hosts disagree, and it is better to refuse the guest than to set its clock ahead by hours.
    const options = { maxDowntimeNs: 10_000_000_000n, verify: true }
    const { timebase: outcome, vcpus: loaded } = loadOneRegState(vcpus, state, options)

    const ms = (ticks) => ((Number(ticks) / Number(host.timebaseFrequency)) * 1000).toFixed(1)
    console.log(`Destination: ${vcpus.length} vCPUs have TB_OFFSET ${outcome.offset}.`)
    console.log(`The guest's timebase goes on ${ms(outcome.advancedTicks)} ms after the stop,`)
    console.log(`of which ${ms(outcome.roundingTicks)} ms are rounding.`)

    // docs/registers.md says with which other values a guest can live.
    for (const { id, refused, changed } of loaded) {
      for (const { register } of [...refused, ...changed]) {
        console.log(`vCPU ${id} does not hold in ${register} what it held at the source.`)
      }
    }
    console.log(`DAR: ${vcpus.map((vcpu) => vcpu.get('DAR').toString(16)).join(', ')}`)
    socket.end('loaded')
  } catch (error) {
    // The vCPUs of a load that failed may hold some of the registers, so they are not run, but closed.
    socket.end(error.message)
    throw error
  }
}
