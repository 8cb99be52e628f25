# inside.sh ROOT USER COMMAND…: runs a command as that user where ROOT is the root of the file system, not just a
# chroot: a process in a chroot may not make user namespaces. FORBIDDEN names folders where nothing may be executed. To
# be run in a mount namespace of its own.
set -eu
root=$1 user=$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t proc none "$root/proc"
for folder in $FORBIDDEN; do mount -t tmpfs -o noexec,mode=1777 none "$root$folder"; done
cd "$root"
pivot_root . mnt
# By busybox, which needs no library: programs of the old root are gone then.
exec busybox sh -euc 'busybox umount -l /mnt; exec /usr/sbin/chroot --userspec="$0" / "$@"' "$user:$user" "$@"
