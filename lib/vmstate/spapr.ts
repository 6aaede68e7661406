import { vmstate } from './description.ts'
import type { Condition } from './kinds.ts'
import {
  buffer,
  int32,
  int64,
  since,
  struct,
  uint32,
  uint64,
  uint8,
  unused,
  when,
} from './fields.ts'

/**
 * A guest's timebase in QEMU's format, 16 bytes (hw/ppc/ppc.c, vmstate_ppc_timebase). The fields are
 * `guest_timebase`, the guest's timebase in ticks, u64, and `time_of_the_day_ns`, in ns since the epoch,
 * i64. The format does not have the frequency. Under TCG `guest_timebase` is not the guest's timebase: see
 * docs/formats.md.
 *
 * @group Encoding and decoding
 */
export const timebase = vmstate({
  name: 'timebase',
  versionId: 1,
  minimumVersionId: 1,
  fields: { guest_timebase: uint64, time_of_the_day_ns: int64 },
})

const beforeVersion3: Condition = (_, versionId) => versionId < 3

function capability(name: string) {
  return vmstate({
    name: `spapr/cap/${name}`,
    versionId: 1,
    minimumVersionId: 1,
    fields: { value: uint8 },
  })
}

/**
 * The section `spapr` of a pseries guest's stream (hw/ppc/spapr.c, vmstate_spapr). It has the timebase as
 * `tb` from version 2 on. QEMU writes version 3 for every machine; versions 1 and 2 come from QEMU 2.2 and
 * before.
 *
 * The subsections are those that recorded streams have, in QEMU's order. Any other, such as one of a pending
 * hot plug or of nested guests, is an error that names it.
 *
 * @group Encoding and decoding
 */
export const spapr = vmstate({
  name: 'spapr',
  versionId: 3,
  minimumVersionId: 1,
  fields: {
    unused: when(beforeVersion3, unused(4)),
    rtc_offset: when(beforeVersion3, uint64),
    tb: since(2, struct(timebase)),
  },
  subsections: {
    ov5_cas: vmstate({
      name: 'spapr_option_vector_ov5_cas',
      versionId: 1,
      minimumVersionId: 1,
      fields: { bitmap: buffer(256) },
    }),
    patb_entry: vmstate({
      name: 'spapr_patb_entry',
      versionId: 1,
      minimumVersionId: 1,
      fields: { patb_entry: uint64 },
    }),
    cap_htm: capability('htm'),
    cap_vsx: capability('vsx'),
    cap_dfp: capability('dfp'),
    cap_cfpc: capability('cfpc'),
    cap_sbbc: capability('sbbc'),
    cap_ibs: capability('ibs'),
    cap_hpt_maxpagesize: capability('hpt_maxpagesize'),
    cap_nested_kvm_hv: capability('nested_kvm_hv'),
    dtb: vmstate({
      name: 'spapr_dtb',
      versionId: 1,
      minimumVersionId: 1,
      fields: { fdt_initial_size: uint32, fdt_size: uint32, fdt_blob: buffer('fdt_size') },
    }),
    cap_large_decr: capability('large_decr'),
    cap_ccf_assist: capability('ccf_assist'),
    cap_fwnmi: capability('fwnmi'),
    fwnmi: vmstate({
      name: 'spapr_fwnmi',
      versionId: 1,
      minimumVersionId: 1,
      fields: {
        fwnmi_system_reset_addr: uint64,
        fwnmi_machine_check_addr: uint64,
        fwnmi_machine_check_interlock: int32,
      },
    }),
    cap_rpt_invalidate: capability('rpt_invalidate'),
  },
})
