import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeUnless } from '../support/lacking.ts'

const compiler = spawnSync('c++', ['--version']).status === 0
const compilerLacks = compiler ? undefined : 'a C++ compiler: install g++ or clang'

/** Takes a bracket of a counter that gives the numbers of the command line, one after the other. */
const program = `
#include <cstdio>
#include <cstdlib>
#include "bracket.h"
int main(int, char** argv) {
  kvm_ppc::Sample sample{};
  const auto counter = [&] { return *++argv == nullptr ? 0 : std::strtoull(*argv, nullptr, 10); };
  const auto clock = [](int64_t* ns) { *ns = 77; return 0; };
  const int result = kvm_ppc::TakeBracket(counter, clock, &sample);
  std::printf("%d %llu %lld %llu", result, (unsigned long long)sample.timebase,
              (long long)sample.time_of_day_ns, (unsigned long long)sample.half_width);
}
`

describeUnless(compilerLacks, 'a sample', () => {
  let folder: string
  let binary: string

  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'kvm-ppc-onereg-'))
    binary = path.join(folder, 'bracket')
    const source = `${binary}.cc`
    writeFileSync(source, program)
    const native = path.join(import.meta.dirname, '../../native')
    const { status, stderr } = spawnSync('c++', ['-std=c++20', '-I', native, '-o', binary, source])
    expect([status, String(stderr)]).toEqual([0, ''])
  }, 300_000)

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  function taken(readings: readonly bigint[]): string {
    return String(spawnSync(binary, readings.map(String)).stdout)
  }

  it('is the narrowest of eight brackets, and its middle', () => {
    const wide = Array.from({ length: 7 }, () => [100n, 300n]).flat()
    expect(taken([...wide, 1_000n, 1_011n])).toBe('0 1005 77 6')
  })

  it.each([1n, 1_000n])('of a counter that goes back by %d in every try is an error', (step) => {
    const back = Array.from({ length: 8 }, (_, index) => {
      const reading = 10_000_000n - BigInt(index)
      return [reading, reading - step]
    }).flat()
    expect(taken(back)).toBe('-5 0 0 0')
  })

  it('leaves out the tries in which the counter goes back', () => {
    const back = Array.from({ length: 7 }, () => [200n, 199n]).flat()
    expect(taken([...back, 300n, 310n])).toBe('0 305 77 5')
  })

  it('goes on where the counter wraps', () => {
    const around = Array.from({ length: 8 }, () => [2n ** 64n - 2n, 4n]).flat()
    expect(taken(around)).toBe('0 1 77 3')
  })
})
