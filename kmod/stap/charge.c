// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <linux/err.h>
#include <linux/filter.h>
#include <linux/list.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/user_namespace.h>

#include "stap/charge.h"

static unsigned int policy_memory = 8 << 20;
module_param(policy_memory, uint, 0644);
MODULE_PARM_DESC(policy_memory, "bytes of the programs that the policies of one user take, root excepted");

/* Who made the outermost namespace. Of root's, which are containers', each is one by itself. */
struct payer {
	struct list_head in_payers;
	struct list_head charges;
	kuid_t owner;
	struct user_namespace *ns; /* root's, or NULL */
	u64 bytes;
};

struct stap_charge {
	struct list_head in_payer;
	struct payer *payer;
	const struct bpf_prog *program;
	u32 bytes;
	u32 uses;
};

static LIST_HEAD(payers);
static DEFINE_SPINLOCK(lock); /* of all that is here */

static u32 size_of(const struct bpf_prog *program)
{
	const struct bpf_prog_aux *aux = program->aux;
	u32 size = program->pages * PAGE_SIZE;
	u32 i;

	if (!aux->func_cnt)
		return size + program->jited_len;
	for (i = 0; i < aux->func_cnt; i++)
		size += aux->func[i]->pages * PAGE_SIZE + aux->func[i]->jited_len;
	return size;
}

static struct payer *find_payer(kuid_t owner, const struct user_namespace *ns)
{
	struct payer *payer;

	list_for_each_entry(payer, &payers, in_payers)
		if (uid_eq(payer->owner, owner) && payer->ns == ns)
			return payer;
	return NULL;
}

/* What is not needed is given back as it came. */
static struct payer *find_or_add_payer(struct payer **new, kuid_t owner, struct user_namespace *ns)
{
	struct payer *payer = find_payer(owner, ns);

	if (payer)
		return payer;
	payer = *new;
	*new = NULL;
	INIT_LIST_HEAD(&payer->charges);
	payer->owner = owner;
	payer->ns = ns ? get_user_ns(ns) : NULL;
	list_add(&payer->in_payers, &payers);
	return payer;
}

static struct payer *remove_if_unused(struct payer *payer)
{
	if (!list_empty(&payer->charges))
		return NULL;
	list_del(&payer->in_payers);
	return payer;
}

static struct stap_charge *find_charge(const struct payer *payer, const struct bpf_prog *program)
{
	struct stap_charge *charge;

	list_for_each_entry(charge, &payer->charges, in_payer)
		if (charge->program == program)
			return charge;
	return NULL;
}

static struct stap_charge *charge_payer(struct payer *payer, struct stap_charge **new,
					const struct bpf_prog *program)
{
	struct stap_charge *charge = find_charge(payer, program);
	const u32 bytes = size_of(program);

	if (charge) {
		charge->uses++;
		return charge;
	}
	if (payer->bytes + bytes > READ_ONCE(policy_memory))
		return ERR_PTR(-ENOSPC);
	charge = *new;
	*new = NULL;
	*charge = (struct stap_charge){
		.payer = payer, .program = program, .bytes = bytes, .uses = 1,
	};
	list_add(&charge->in_payer, &payer->charges);
	payer->bytes += bytes;
	return charge;
}

static void free_payer(struct payer *payer)
{
	if (payer && payer->ns)
		put_user_ns(payer->ns);
	kfree(payer);
}

static struct stap_charge *take(kuid_t owner, struct user_namespace *ns,
				const struct bpf_prog *program)
{
	struct stap_charge *new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT), *charge;
	struct payer *new_payer = kzalloc(sizeof(*new_payer), GFP_KERNEL_ACCOUNT), *payer;

	charge = ERR_PTR(-ENOMEM);
	payer = NULL;
	if (new && new_payer) {
		spin_lock_bh(&lock);
		payer = find_or_add_payer(&new_payer, owner, ns);
		charge = charge_payer(payer, &new, program);
		payer = remove_if_unused(payer);
		spin_unlock_bh(&lock);
	}
	free_payer(payer);
	kfree(new_payer);
	kfree(new);
	return charge;
}

struct stap_charge *stap_charge_take(struct user_namespace *ns, const struct bpf_prog *program)
{
	if (!program || ns == &init_user_ns)
		return NULL;
	while (ns->parent != &init_user_ns)
		ns = ns->parent;
	return take(ns->owner, uid_eq(ns->owner, GLOBAL_ROOT_UID) ? ns : NULL, program);
}

void stap_charge_drop(struct stap_charge *charge)
{
	struct payer *payer = NULL;

	if (!charge)
		return;
	spin_lock_bh(&lock);
	if (--charge->uses) {
		charge = NULL;
	} else {
		list_del(&charge->in_payer);
		charge->payer->bytes -= charge->bytes;
		payer = remove_if_unused(charge->payer);
	}
	spin_unlock_bh(&lock);
	free_payer(payer);
	kfree(charge);
}
