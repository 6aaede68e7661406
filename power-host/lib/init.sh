#!/bin/busybox sh
# The first process of the emulated host: runs /power/command on a machine with KVM.
#
# All output shares one console. A line for host-console.ts begins with the byte 0x1e and this run's
# token. The command's standard output is passed through unchanged, and each line of its standard error
# becomes such a marked line. The two do not mix, since the console does not split a write(2).

export PATH=/usr/local/bin:/usr/bin:/usr/sbin HOME=/root LANG=C.UTF-8
read -r token </power/token

say() {
  busybox printf '\036%s %s\n' "$token" "$*"
}

fail() {
  say failed "$@"
  end
}

end() {
  # Setting the terminal waits until all output has been written.
  busybox stty raw -echo </dev/console
  busybox poweroff -f
  # Some machines cannot be switched off; the program that started QEMU ends it.
  exec busybox sleep 3600
}

say stage mounting its file systems
busybox mount -t devtmpfs dev /dev
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t tmpfs tmp /tmp
busybox ip link set lo up
busybox stty raw -echo </dev/console
busybox --install -s /usr/local/bin
# Scripts begin with this path.
[ -e /usr/bin/env ] || busybox ln -s busybox /usr/bin/env

# Bare metal has no clock here that knows the date, but the command archive has just been made.
if [ "$(date +%Y)" = 1970 ]; then
  read -r made </power/made
  read -r up rest </proc/uptime
  date -s "@$((made + ${up%.*}))" >/dev/null
fi

say stage loading its KVM modules
for module in kvm kvm-hv; do
  insmod "/power/modules/$module.ko" || fail "$module.ko could not be loaded: $(dmesg | tail -n 1)"
done
[ -c /dev/kvm ] || fail 'KVM is loaded, but there is no /dev/kvm'

# At the end the files in /out are written to a disk.
disk=/dev/vda
if [ -d /out ]; then
  say stage loading its modules for a disk
  for module in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk; do
    # A kernel may have this module built in.
    [ ! -e "/power/modules/$module.ko" ] || insmod "/power/modules/$module.ko" ||
      fail "$module.ko could not be loaded: $(dmesg | tail -n 1)"
  done
  [ -b "$disk" ] || fail "there is no $disk"
fi

save() {
  [ -d /out ] || return 0
  say stage writing back its files
  tar -cf "$disk" -C /out . 2>/tmp/tar || fail "the files in /out could not be written: $(tail -n 1 /tmp/tar)"
  sync
}

# The wire to another host, if there is one. It is kept open in raw mode from here on: two ends that echo
# what they receive would never stop, and setting one raw would wait for the end of that.
if (exec 3<>/dev/hvc1) 2>/dev/null; then
  exec 3<>/dev/hvc1
  stty raw -echo <&3
fi

# From here on the kernel prints only its messages of a panic.
dmesg -n 1
read -r directory </power/directory
cd "$directory" || fail "the image has no folder $directory"

# With a keyboard, the console is the command's terminal.
if [ -e /power/terminal ]; then
  read -r rows columns </power/terminal
  say begin
  # Set after that line, since a marked line must end in one byte.
  stty sane rows "$rows" cols "$columns" </dev/hvc0
  setsid -c sh /power/command </dev/hvc0 >/dev/hvc0 2>&1
  status=$?
  stty raw -echo </dev/hvc0
  save
  say exit "$status"
  end
fi

mkfifo /power/out /power/err
cat /power/out &
awk -v token="$token" '{ printf "\036%s stderr %s\n", token, $0; fflush() }' /power/err &

say begin
setsid sh /power/command </dev/null >/power/out 2>/power/err 3>&-
status=$?
wait
save
say exit "$status"
end
