// SPDX-License-Identifier: GPL-2.0
#include <linux/netfilter.h>
#include <linux/netfilter/x_tables.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <net/net_namespace.h>

#include "base/netns.h"
#include "caller/proc.h"
#include "packet/table.h"

/*
 * x_tables makes the files of a family: the matches and targets, which it lists for us as
 * it does for ip_tables, and the names of the tables registered with it, which ours are not.
 */
struct proc_family {
	u8 family;
	const char *names, *matches, *targets;
};

static const struct proc_family families[] = {
	{ NFPROTO_IPV4, "ip_tables_names", "ip_tables_matches", "ip_tables_targets" },
	{ NFPROTO_IPV6, "ip6_tables_names", "ip6_tables_matches", "ip6_tables_targets" },
};

static int show_names(struct seq_file *seq, void *unused)
{
	const struct proc_family *family = pde_data(file_inode(seq->file));

	bpfilter_table_list(seq->private, family->family, seq);
	return 0;
}

/* Puts a file of ours in the place of the one with the names. */
static int create_names(struct net *net, const struct proc_family *family)
{
	kuid_t uid = make_kuid(net->user_ns, 0);
	kgid_t gid = make_kgid(net->user_ns, 0);
	struct proc_dir_entry *entry;

	remove_proc_entry(family->names, net->proc_net);
	entry = proc_create_net_single(family->names, 0440, net->proc_net, show_names,
				       (void *)family);
	if (!entry)
		return -ENOMEM;
	if (uid_valid(uid) && gid_valid(gid))
		proc_set_user(entry, uid, gid);
	return 0;
}

/* What is left of x_tables' own, which would warn that the one of the names is not there. */
static void remove_neighbours(struct net *net, const struct proc_family *family)
{
	remove_proc_entry(family->matches, net->proc_net);
	remove_proc_entry(family->targets, net->proc_net);
}

static int create_files(struct net *net, const struct proc_family *family)
{
	int error = xt_proto_init(net, family->family) ? -ENOMEM : 0;

	if (error)
		return error;
	error = create_names(net, family);
	if (error)
		remove_neighbours(net, family);
	return error;
}

/* Of the first `count` families; the file of the names goes with its neighbours. */
static void remove_files(struct net *net, size_t count)
{
	while (count--)
		xt_proto_fini(net, families[count].family);
}

static int create_all(struct net *net)
{
	int error;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(families); i++) {
		error = create_files(net, &families[i]);
		if (error) {
			remove_files(net, i);
			return error;
		}
	}
	bpfilter_net(net)->has_proc = true;
	return 0;
}

static int __net_init proc_net_init(struct net *net)
{
	return create_all(net);
}

static void __net_exit proc_net_exit(struct net *net)
{
	if (bpfilter_net(net)->has_proc)
		remove_files(net, ARRAY_SIZE(families));
}

static struct pernet_operations proc_net_ops = {
	.init = proc_net_init,
	.exit = proc_net_exit,
};

int bpfilter_proc_init(void)
{
	return register_pernet_subsys(&proc_net_ops);
}

void bpfilter_proc_exit(void)
{
	unregister_pernet_subsys(&proc_net_ops);
}
