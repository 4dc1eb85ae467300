// SPDX-License-Identifier: GPL-2.0
// In the place of libelf, with which libbpf reads programs out of files. We make ours and read no
// file. Debian 13's static libelf cannot be linked at all: it asks for eu_search_tree_*(), of a
// library that is not shipped. elf_version() says that it knows no version of the format, which
// libbpf asks before all else, and then it asks nothing more. A function that a newer libbpf calls
// is missed when it is linked.
extern "C" {

long elf_version()
{
    return 0;
}

// Not called any more.
[[gnu::alias("elf_version")]] long elf64_getehdr();
[[gnu::alias("elf_version")]] long elf64_getshdr();
[[gnu::alias("elf_version")]] long elf64_newehdr();
[[gnu::alias("elf_version")]] long elf_begin();
[[gnu::alias("elf_version")]] long elf_end();
[[gnu::alias("elf_version")]] long elf_errmsg();
[[gnu::alias("elf_version")]] long elf_getdata();
[[gnu::alias("elf_version")]] long elf_getphdrnum();
[[gnu::alias("elf_version")]] long elf_getscn();
[[gnu::alias("elf_version")]] long elf_getshdrnum();
[[gnu::alias("elf_version")]] long elf_getshdrstrndx();
[[gnu::alias("elf_version")]] long elf_kind();
[[gnu::alias("elf_version")]] long elf_memory();
[[gnu::alias("elf_version")]] long elf_ndxscn();
[[gnu::alias("elf_version")]] long elf_newdata();
[[gnu::alias("elf_version")]] long elf_newscn();
[[gnu::alias("elf_version")]] long elf_nextscn();
[[gnu::alias("elf_version")]] long elf_rawdata();
[[gnu::alias("elf_version")]] long elf_strptr();
[[gnu::alias("elf_version")]] long elf_update();
[[gnu::alias("elf_version")]] long gelf_getclass();
[[gnu::alias("elf_version")]] long gelf_getehdr();
[[gnu::alias("elf_version")]] long gelf_getnote();
[[gnu::alias("elf_version")]] long gelf_getphdr();
[[gnu::alias("elf_version")]] long gelf_getshdr();
[[gnu::alias("elf_version")]] long gelf_getsym();
[[gnu::alias("elf_version")]] long gelf_getverdaux();
[[gnu::alias("elf_version")]] long gelf_getverdef();
[[gnu::alias("elf_version")]] long gelf_getversym();
}
