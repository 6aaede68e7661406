import type { Certificate, TriedPromise } from '../verify/certificate.ts'
import type { Difference, Figure } from '../verify/trial.ts'
import { kindInWords } from './kvm-kind.ts'
import { grouped, table } from './print.ts'
import { heading, styled } from './terminal.ts'

/** The report of `verify` for people. */
export function certificateText(certificate: Certificate, release: string, time: string): string {
  const { promises, differences, timebaseFrequency } = certificate
  const broken = promises.filter(({ kept }) => !kept).map(({ name }) => name)
  return [
    heading(`kvm-ppc-onereg ${release}, verified on ${time}`),
    '',
    table(hostRows(certificate)),
    '',
    table(promises.flatMap((promise) => promiseRows(promise, timebaseFrequency))),
    ...(differences.length === 0 ? [] : ['', ...differenceLines(differences)]),
    '',
    broken.length === 0
      ? styled('green', 'The library keeps its promises on this host.')
      : styled(
          'red',
          `BROKEN on this host: ${broken.join('; ')}. Please report it, with all of this.`,
        ),
  ].join('\n')
}

function hostRows({
  machine,
  processor,
  kind,
  timebaseFrequency,
  model,
  vcpus,
  seconds,
}: Certificate) {
  return [
    ['machine', machine],
    ['processor', processor],
    ['kind of KVM', kindInWords(kind)],
    ['timebase', `${grouped(timebaseFrequency)} Hz`],
    [
      'software model',
      model === null ? 'none: not measured' : `${model.machine}, Linux ${model.linux}`,
    ],
    ['guests', `of ${vcpus} vCPUs each, moved for ${seconds} s in all`],
  ]
}

function promiseRows(
  { name, kept, problems, figures }: TriedPromise,
  frequency: bigint,
): string[][] {
  const mark = kept ? styled('green', 'kept') : styled('red', 'BROKEN')
  const seen = figures.map((figure) => figureText(figure, frequency)).join(', ')
  const [first = '', ...more] = seen === '' ? problems : [seen, ...problems]
  return [[mark, name, first], ...more.map((text) => ['', '', text])]
}

function figureText({ name, value, unit }: Figure, frequency: bigint): string {
  if (unit === 'count') return `${grouped(value)} ${name}`
  return `${name} ${duration(Number(value) / (unit === 'ns' ? 1e9 : Number(frequency)))}`
}

function duration(seconds: number): string {
  const size = Math.abs(seconds)
  if (size < 1e-3) return `${(seconds * 1e6).toFixed(size === 0 ? 0 : 1)} µs`
  return size < 1 ? `${(seconds * 1e3).toFixed(1)} ms` : `${seconds.toFixed(3)} s`
}

function differenceLines(differences: readonly Difference[]): string[] {
  const rows = differences.map(({ register, found, expected }) => [register, found, expected])
  return [
    'Registers of a new vCPU that are not as in the model; they break no promise:',
    table([['register', 'here', 'model'].map(heading), ...rows]),
  ]
}
