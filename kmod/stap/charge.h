/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The memory of the programs that policies are made into. The helper loads them, so no limit of
 * the kernel's holds for them, and they lie where the kernel's modules do: so each user may have
 * so much of it (the module's parameter policy_memory) and no more, through whatever user
 * namespaces. A program that several of his sockets have counts once. Nobody is counted who is
 * root outside of user namespaces.
 */
#ifndef KMOD_STAP_CHARGE_H
#define KMOD_STAP_CHARGE_H

struct bpf_prog;
struct stap_charge;
struct user_namespace;

/* Of one program for the owner of a namespace: NULL if he is not counted; ENOSPC, ENOMEM. */
struct stap_charge *stap_charge_take(struct user_namespace *ns, const struct bpf_prog *program);
/* Before the program's reference goes. In any context but hard interrupts; also NULL. */
void stap_charge_drop(struct stap_charge *charge);

#endif /* KMOD_STAP_CHARGE_H */
