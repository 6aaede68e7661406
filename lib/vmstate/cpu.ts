import { vmstate } from './description.ts'
import {
  array,
  buffer,
  equal,
  int32,
  int64,
  since,
  struct,
  structPointer,
  uint32,
  uint64,
} from './fields.ts'

/**
 * The descriptions of the QEMU patch "spapr: support time base offset migration" (A. Kardashevskiy,
 * September 2013) after its review. QEMU did not take the patch: its own format is {@link timebase}.
 */

/**
 * A guest's timebase in the patch's format, 28 bytes. At `time_of_the_day` the guest's timebase was
 * `timebase + tb_offset`, modulo 2^64.
 *
 * The fields are `timebase`, the source host's timebase in ticks, u64; `tb_offset`, TB_OFFSET of the vCPU
 * in ticks, i64; `time_of_the_day` in µs since the epoch, u64; and `tb_freq` in Hz, u32, which must equal
 * the destination's.
 *
 * @group Encoding and decoding
 */
export const cpuTimebase = vmstate({
  name: 'cpu/timebase',
  versionId: 1,
  minimumVersionId: 1,
  fields: {
    timebase: uint64,
    tb_offset: int64,
    time_of_the_day: uint64,
    tb_freq: equal(uint32),
  },
})

const fpu = vmstate({
  name: 'cpu/fpu',
  versionId: 1,
  minimumVersionId: 1,
  fields: { fpr: array(uint64, 32), fpscr: uint64 },
})

const altivec = vmstate({
  name: 'cpu/altivec',
  versionId: 1,
  minimumVersionId: 1,
  fields: { avr: array(buffer(16), 32), vscr: uint32 },
})

const vsx = vmstate({
  name: 'cpu/vsx',
  versionId: 1,
  minimumVersionId: 1,
  fields: { vsr: array(uint64, 32) },
})

const sr = vmstate({
  name: 'cpu/sr',
  versionId: 1,
  minimumVersionId: 1,
  fields: { sr: array(uint64, 32) },
})

const slbEntry = vmstate({
  name: 'slb_entry',
  versionId: 1,
  minimumVersionId: 1,
  fields: { esid: uint64, vsid: uint64 },
})

const slb = vmstate({
  name: 'cpu/slb',
  versionId: 1,
  minimumVersionId: 1,
  fields: { slb_nr: equal(int32), slb: array(struct(slbEntry), 64) },
})

/**
 * A vCPU of a 64-bit POWER guest (target-ppc/machine.c). It has the timebase from version 6 on: the patch's
 * review asked for a new version, since adding a field to an existing one breaks the format. Version 5 has
 * all but the timebase, and is what QEMU wrote for machines up to pseries-2.7. Version 4 is refused, since
 * it is older than descriptions and has no timebase, and so are the subsections of embedded processors.
 *
 * @group Encoding and decoding
 */
export const cpu = vmstate({
  name: 'cpu',
  versionId: 6,
  minimumVersionId: 5,
  fields: {
    pvr: equal(uint64),
    gpr: array(uint64, 32),
    crf: array(uint32, 8),
    nip: uint64,
    spr: array(uint64, 1024),
    spe_acc: uint64,
    reserve_addr: uint64,
    msr: uint64,
    hflags_nmsr: uint64,
    msr_mask: equal(uint64),
    insns_flags: equal(uint64),
    insns_flags2: equal(uint64),
    nb_BATs: equal(uint32),
    timebase: since(6, structPointer(cpuTimebase)),
  },
  subsections: { fpu, altivec, vsx, sr, slb },
})
