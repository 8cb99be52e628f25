#!/bin/sh
# Places both programs as `npm install --global` does, with the AppArmor profiles and the systemd unit of packaging/.
set -e
modules=/usr/local/lib/node_modules/@demiflow
mkdir -p "$modules" /usr/local/bin
cp -a packages/sys apps/passt apps/pasta "$modules"
rm -rf "$modules"/*/node_modules
for name in passt pasta; do
  (cd "$modules/$name" && node bin/keep.js)
  ln -s "../lib/node_modules/@demiflow/$name/bin/$name" "/usr/local/bin/$name"
done
chmod 666 /dev/net/tun

# Every denial is to be found in the kernel's messages.
sysctl -w kernel.printk_ratelimit=0
cp packaging/apparmor/abstractions/* /etc/apparmor.d/abstractions
cp packaging/apparmor/passt packaging/apparmor/pasta /etc/apparmor.d
apparmor_parser -r /etc/apparmor.d/passt /etc/apparmor.d/pasta

cp packaging/systemd/passt@.service /etc/systemd/system
systemctl daemon-reload
