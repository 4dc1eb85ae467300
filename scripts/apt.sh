# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Debian 12's archive, read by an apt with a configuration and a state of its own in the
# cache, from where the machine's apt has Debian's archive. For scripts that have read lib.sh.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# machine_apt COMMAND...: with the machine's configuration, and not the one made here.
machine_apt() {
	env -u APT_CONFIG LC_ALL=C "$@"
}

# archives [OPTION...]: the archives that the machine's apt reads and that may be Debian's, a
# line each: "ARCHIVE SECURITY", where SECURITY is the archive of the security updates or "-".
# apt itself reads its sources, of both kinds and with all their options, so a mirror list is
# named as apt names it. An archive has the suites of a Debian release and a `main`; those of
# others have too, at times, so these are candidates, the likeliest first. Which one is Debian's
# is for the signature to say. OPTIONs are apt's, for tests.
# shellcheck disable=SC2120
archives() {
	local state pattern uris archive security
	state=$(mktemp -d)
	# With no list at hand all are to be fetched.
	uris=$(machine_apt apt-get "$@" -o Dir::State::lists="$state" -o Debug::NoLocking=1 \
		update --print-uris 2>/dev/null || true)
	rm -rf "$state"
	pattern="(bookworm|trixie|forky|(old)*stable|testing|unstable|sid)"
	found() {
		sed -nE "/^'cdrom:/d; s,^'([^']*)/dists/$pattern$1/main/binary-[^/]*/Packages[^/]*'.*,\\1,p" <<<"$uris" |
			awk '!seen[$0]++'
	}
	security=$(found -security | sed -n 1p)
	for archive in $(found '' | grep '/debian$') $(found '' | grep -v '/debian$'); do
		if [ -n "$security" ]; then
			echo "$archive $security"
		elif [[ $archive == */debian ]]; then
			echo "$archive $archive-security"
			echo "$archive -"
		else
			echo "$archive -"
		fi
	done
}

# Everything apt would read from or write to the host is set here.
apt_configure() {
	[ -e "$KEYRING" ] || die "$KEYRING is missing: install debian-archive-keyring"
	mkdir -p "$CACHE"/apt/{lists/partial,etc}
	: >"$CACHE/apt/status"
	# How the host reaches what it reads (proxies, certificates, passwords, clocks that are
	# off), and nothing else of its configuration.
	machine_apt apt-config dump --format '%F "%v";%n' 2>/dev/null |
		grep -iE '^Acquire::(https?|Check-)|^Acquire::[^ ]*proxy' >"$CACHE/apt/etc/apt.conf" || true
	cat >>"$CACHE/apt/etc/apt.conf" <<-END
		Dir::Etc "$CACHE/apt/etc";
		Dir::Etc::parts "/dev/null";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Dir::Etc::netrc "/etc/apt/auth.conf";
		Dir::Etc::netrcparts "/etc/apt/auth.conf.d";
		Dir::State "$CACHE/apt";
		Dir::State::status "$CACHE/apt/status";
		Dir::Cache "$CACHE/apt";
		Dir::Log "$CACHE/apt";
		APT::Architecture "amd64";
		APT::Architectures "amd64";
		APT::Install-Recommends "false";
		APT::Sandbox::User "root";
		APT::Update::Error-Mode "any";
		Acquire::Languages "none";
		Acquire::Retries "3";
	END
	# apt reads /etc/apt/apt.conf.d before it knows better, unless it is told
	# in the file that APT_CONFIG names.
	export APT_CONFIG=$CACHE/apt/etc/apt.conf
}

# apt_sources ARCHIVE SECURITY: where Debian 12 is read from. What is in files is copied like
# the rest: apt would leave it where it is.
apt_sources() {
	local suite
	for suite in bookworm bookworm-updates bookworm-backports; do
		echo "deb [signed-by=$KEYRING] ${1/#file:/copy:} $suite main"
	done
	[ "$2" = - ] || echo "deb [signed-by=$KEYRING] ${2/#file:/copy:} bookworm-security main"
}

# The lists are read once per run, and only if something must be fetched. The first archive
# counts that has all and Debian's signature on it. BPFILTER_ARCHIVE ("ARCHIVE [SECURITY]")
# names one instead, for machines that are not Debian.
apt_update() {
	local candidates archive security complaint=
	[ -z "${apt_ready-}" ] || return 0
	# shellcheck disable=SC2119
	candidates=${BPFILTER_ARCHIVE-$(archives)}
	[ -n "$candidates" ] || die "this machine's apt reads no archive of Debian:" \
		'BPFILTER_ARCHIVE="ARCHIVE [SECURITY]" says where one is'
	apt_configure
	say "reading Debian's package lists"
	while read -r archive security; do
		apt_sources "$archive" "${security:--}" >"$CACHE/apt/etc/sources.list"
		if complaint+=$(apt-get -qq update 2>&1); then
			apt_ready=1
			return
		fi
	done <<<"$candidates"
	die "Debian 12 is not to be had from the archives of this machine's apt:
$complaint"
}

# depends SUITE PACKAGE REGEX: the dependencies of PACKAGE that match. Without a
# SUITE the newest of bookworm, its updates and security counts.
depends() {
	apt-cache -o APT::Default-Release="$1" --no-all-versions show "$2" |
		sed -n 's/^Depends: //p' | head -n 1 | tr ',' '\n' |
		sed 's/^ *//; s/[ (:].*//' | grep -E "^($3)" || true
}

# download SUITE DIR PACKAGE...: the .deb files, in DIR.
download() {
	local suite=$1 dir=$2
	shift 2
	mkdir -p "$dir"
	say "fetching $*"
	(cd "$dir" && apt-get -qq -o APT::Default-Release="$suite" download "$@")
}

# fetch_closure SUITE DIR PACKAGE...: the packages with all that they depend on, as
# apt resolves it from nothing, in DIR.
fetch_closure() {
	local suite=$1 dir=$2
	shift 2
	mkdir -p "$dir/partial"
	apt-get -qq -y -o APT::Default-Release="$suite" -o Dir::Cache::archives="$dir" \
		-o Debug::NoLocking=1 install --download-only "$@" >/dev/null
}
