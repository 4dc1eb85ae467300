// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/netfilter.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <net/net_namespace.h>

#include "netns.h"
#include "proc.h"
#include "queue.h"
#include "request.h"
#include "table.h"

/* Far more than the names of all extensions there are. */
#define EXTENSIONS_MAX (64 * 1024)

struct proc_file {
	const char *name;
	u8 family;
	int (*show)(struct seq_file *seq, void *unused);
};

static const struct proc_file *file_of(struct seq_file *seq)
{
	return pde_data(file_inode(seq->file));
}

static int show_names(struct seq_file *seq, void *unused)
{
	bpfilter_table_list(seq->private, file_of(seq)->family, seq);
	return 0;
}

/* Only the helper knows which matches and targets there are. */
static int show_extensions(struct seq_file *seq, bool targets)
{
	struct bpfilter_extensions head = { .targets = targets };
	struct bpfilter_request *request;
	int error = -ENOMEM;

	request = bpfilter_request_new(BPFILTER_OP_EXTENSIONS, NULL, file_of(seq)->family);
	if (!request)
		return error;
	bpfilter_request_set_head(request, &head, sizeof(head));
	error = bpfilter_request_reserve_reply(request, EXTENSIONS_MAX);
	if (!error)
		error = bpfilter_queue_perform(request);
	if (!error)
		seq_write(seq, request->reply, request->reply_length);
	bpfilter_request_put(request);
	return error;
}

static int show_matches(struct seq_file *seq, void *unused)
{
	return show_extensions(seq, false);
}

static int show_targets(struct seq_file *seq, void *unused)
{
	return show_extensions(seq, true);
}

static const struct proc_file files[] = {
	{ "ip_tables_names", NFPROTO_IPV4, show_names },
	{ "ip_tables_matches", NFPROTO_IPV4, show_matches },
	{ "ip_tables_targets", NFPROTO_IPV4, show_targets },
};

static int create_file(struct net *net, const struct proc_file *file)
{
	kuid_t uid = make_kuid(net->user_ns, 0);
	kgid_t gid = make_kgid(net->user_ns, 0);
	struct proc_dir_entry *entry;

	entry = proc_create_net_single(file->name, 0440, net->proc_net, file->show, (void *)file);
	if (!entry)
		return -ENOMEM;
	if (uid_valid(uid) && gid_valid(gid))
		proc_set_user(entry, uid, gid);
	return 0;
}

static int create_files(struct net *net)
{
	int error;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		error = create_file(net, &files[i]);
		if (error)
			goto err_create;
	}
	bpfilter_net(net)->has_proc = true;
	return 0;

err_create:
	while (i--)
		remove_proc_entry(files[i].name, net->proc_net);
	return error;
}

/*
 * While the module loads, callers may already be inside it, and there is no way back:
 * a namespace of that moment then has to do without the files.
 */
static bool is_loaded;

static int __net_init proc_net_init(struct net *net)
{
	int error = create_files(net);

	if (error && !is_loaded) {
		pr_warn("cannot make the files in /proc/net (error %d)\n", error);
		return 0;
	}
	return error;
}

static void __net_exit proc_net_exit(struct net *net)
{
	size_t i;

	if (!bpfilter_net(net)->has_proc)
		return;
	for (i = 0; i < ARRAY_SIZE(files); i++)
		remove_proc_entry(files[i].name, net->proc_net);
}

static struct pernet_operations proc_net_ops = {
	.init = proc_net_init,
	.exit = proc_net_exit,
};

int bpfilter_proc_init(void)
{
	int error = register_pernet_subsys(&proc_net_ops);

	is_loaded = true;
	return error;
}

void bpfilter_proc_exit(void)
{
	unregister_pernet_subsys(&proc_net_ops);
}
