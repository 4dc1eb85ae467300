# SPDX-License-Identifier: GPL-2.0
#
# The entry points; what they do is in scripts/. Everything built goes to build/.

# The kernel to build for: 6.1, 6.12 or debug (of the cache), or the release of
# one whose headers are installed. A machine without headers of its own builds for 6.1,
# but does not install that: it would be for a kernel that does not run.
running := $(shell uname -r)
headers := $(KDIR)$(wildcard /lib/modules/$(running)/build)
DESTDIR ?=
ifndef KVER
ifneq ($(filter uninstall,$(MAKECMDGOALS)),)
KVER := $(running)
else
KVER := $(if $(headers),$(running),6.1)
ifeq ($(filter install,$(MAKECMDGOALS))$(headers)$(DESTDIR),install)
$(error no headers of the running kernel: apt-get install linux-headers-$(running), or say for which kernel with KVER=)
endif
endif
endif
JOBS ?= $(shell nproc)
SECONDS ?= 60
export KVER DESTDIR JOBS

# What checkpatch --strict is not asked, and why:
# LINUX_VERSION_CODE: compat.h, of base and of stap, is where the versions are told apart
# EMBEDDED_FUNCTION_NAME: takes words of a message for the function they describe
# FILE_PATH_CHANGES: there is no MAINTAINERS file here
# CONSTANT_COMPARISON: takes LINUX_VERSION_CODE for a constant
# STATIC_CONST_CHAR_ARRAY: call_usermodehelper_setup() takes char **
# CONST_STRUCT: the proto_ops of tapped sockets are filled in when the first one comes
CHECKPATCH_IGNORE = LINUX_VERSION_CODE,EMBEDDED_FUNCTION_NAME,FILE_PATH_CHANGES,CONSTANT_COMPARISON,STATIC_CONST_CHAR_ARRAY,CONST_STRUCT

.PHONY: all modules helper install uninstall test check check-debian check-debug fuzz bench lint format demo shell clean help
all: modules

help:
	@echo 'make              modules and helper, for this kernel or, without its headers, for 6.1'
	@echo 'make modules      the same; KVER=6.1, 6.12, debug or a release chooses the kernel'
	@echo 'make helper       the helper alone'
	@echo 'make install      the modules, the modprobe.d file and the commands; KVER, DESTDIR,'
	@echo '                  SIGN_KEY and SIGN_CERT are heard (docs/install.md)'
	@echo 'make uninstall    removes them'
	@echo 'make demo         the examples of the RFC, live, in a virtual machine'
	@echo 'make test         the quick one: unit tests, and every part at work on both kernels'
	@echo 'make check        everything: lint, sanitizers, fuzzing, all tests, on both kernels'
	@echo 'make check-debian make demo and make test on a fresh Debian 12 and a fresh 13'
	@echo 'make check-debug  the VM suite under a kernel with sanitizers and lockdep'
	@echo 'make fuzz         what callers send, at random, for SECONDS=60; goes on where it stopped'
	@echo 'make bench        what hooks, commands and the socket tap cost, in instructions'
	@echo 'make lint         static checks alone'
	@echo 'make format       clang-format over the C++'
	@echo 'make shell        a virtual machine to try things in; KVER=6.1, 6.12 or debug'
	@echo 'make clean        removes build/'

helper:
	@scripts/build-helper

# The helper's executable is part of bpfilter_umh.ko.
modules: helper
	@scripts/build-modules $(KVER)

install: modules
	@scripts/install-modules $(KVER)

uninstall:
	@scripts/install-modules --remove $(KVER)

test:
	@scripts/install-deps quick
	@scripts/check quick

check:
	@scripts/install-deps
	@scripts/check

check-debian:
	@scripts/check-debian

check-debug:
	@scripts/install-deps
	@scripts/check debug

fuzz:
	@scripts/install-deps
	@scripts/fuzz $(SECONDS)

bench:
	@scripts/install-deps
	@scripts/bench

lint:
	@scripts/install-deps
	@scripts/lint

format:
	@scripts/lint --fix

demo:
	@scripts/install-deps quick
	@scripts/demo

shell:
	@scripts/install-deps
	@scripts/vm -k $(or $(filter 6.1 6.12 debug,$(KVER)),6.1)

clean:
	rm -rf build
