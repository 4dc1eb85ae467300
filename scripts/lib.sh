# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the scripts share: where things are, how they speak, how they lock.

TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-${HOME:-~}/.cache}/bpfilter

say() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
	say "$@"
	exit 1
}

# kbuild cannot, nor can the makefiles of kernel headers.
case $TREE$CACHE in
*[[:space:]:]*) die "neither spaces nor colons, please, in the paths of tree and cache: $TREE, $CACHE" ;;
esac

# lock NAME, unlock NAME: one writer of that part of the cache at a time; at the
# latest the end of this process unlocks.
declare -A lock_of

lock() {
	local fd
	mkdir -p "$CACHE"
	exec {fd}>"$CACHE/.lock-$1"
	flock -n "$fd" || {
		say "waiting for another run that fills $CACHE ($1)"
		flock "$fd"
	}
	lock_of[$1]=$fd
}

unlock() {
	flock -u "${lock_of[$1]}"
}

# unpack_debs ROOT DEB...: packages, without what no guest reads.
unpack_debs() {
	local root=$1 deb
	shift
	# Merged /usr first, so that packages of both layouts unpack into it.
	mkdir -p "$root"/usr/{bin,sbin,lib,lib64}
	ln -s usr/bin usr/sbin usr/lib usr/lib64 "$root"
	for deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink \
			--exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' \
			--exclude='./usr/share/locale/*' --exclude='./usr/share/info/*' \
			--exclude='./usr/share/icons/*' --exclude='./usr/share/lintian/*' \
			--exclude='./usr/lib/*/perl-base/unicore/*' --exclude='*/gconv/*' \
			--exclude='*/__pycache__/*' --exclude='*/libLLVM*' --exclude='*/llvmjit*' \
			--no-same-owner
	done
}

# image DIR FILE: DIR as a read-only ext4 image. ext4, because mke2fs is on
# every Debian and -d needs no root.
image() {
	local size
	# The content, 4k for every file and its inode, a tenth and 4M to spare.
	size=$(($(du -sk "$1" | cut -f1) + $(find "$1" | wc -l) * 4))
	rm -f "$2"
	truncate -s "$((size + size / 10 + 4096))k" "$2"
	mke2fs -q -F -t ext4 -O ^has_journal,^resize_inode -m 0 -E root_owner=0:0 -i 8192 \
		-d "$1" "$2"
}

# release_of KVER: sets release, and known if it is a kernel of the cache. Needs no headers.
release_of() {
	for known in "$CACHE"/kernels/*; do
		[ -e "$known/release" ] || continue
		release=$(<"$known/release")
		[ "${known##*/}" != "$1" ] && [ "$release" != "$1" ] || return 0
	done
	known=
	release=$1
}

# kernel_of KVER: sets release and kdir for a kernel of the cache (6.1, 6.12,
# debug; fetched when missing), or for a release whose headers are installed
# or in the cache. KDIR overrides where the headers are.
kernel_of() {
	case $1 in
	6.1 | 6.12 | debug) [ -e "$CACHE/kernels/$1/release" ] || "$TREE/scripts/fetch" "$1" ;;
	esac
	release_of "$1"
	kdir=${KDIR:-${known:-/lib/modules/$1}/build}
	[ -e "$kdir/Makefile" ] || die "no headers of kernel $1 in $kdir (see make help)"
}

# One builder of DIR at a time: tests start virtual machines in parallel, and
# each brings its modules up to date.
lock_build() {
	mkdir -p "$1"
	exec {build_lock}>"$1/.lock"
	flock "$build_lock"
}
