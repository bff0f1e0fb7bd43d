#!/bin/sh
# tiny_guest.sh OUTPUT: makes an initramfs of busybox and the host kernel's virtio modules. The guest runs each line that
# arrives on the port sprite.channel with sh, and answers with the output and a line "<done STATUS>".
set -eu
PATH=$PATH:/usr/sbin:/sbin   # where modprobe is, also for ordinary users
output=$1
kernel=$(ls /boot/vmlinuz-*-cloud-amd64 | sort -V | tail -n 1)
version=${kernel#/boot/vmlinuz-}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/modules"
cp "$(command -v busybox)" "$root/bin/busybox"
for module in virtio_pci virtio_blk virtio_net virtio_console virtio_balloon virtio-rng ext4 af_packet; do
  modprobe --set-version "$version" --show-depends "$module" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' > "$root/modules.list"
[ -s "$root/modules.list" ] || { echo "no virtio modules of $version: run \`make deps\`" >&2; exit 1; }
while read -r file; do cp "$file" "$root/modules/"; done < "$root/modules.list"
sed -i 's,.*/,/modules/,' "$root/modules.list"
cat > "$root/init" <<'EOF'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "$module"; done < /modules.list
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
echo "nameserver 10.0.2.3" > /tmp-resolv 2>/dev/null; mkdir -p /etc /tmp; mv /tmp-resolv /etc/resolv.conf
for port in /sys/class/virtio-ports/*; do
  [ "$(cat "$port/name")" = sprite.channel ] && channel=/dev/$(basename "$port")
done
echo "tiny guest: ready" > /dev/console
exec 3<> "$channel"
while :; do
  if read -r line <&3; then sh -c "$line" >&3 2>&1; echo "<done $?>" >&3; else sleep 0.02; fi
done
EOF
chmod 755 "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet -R 0:0 | gzip -1) > "$output"
