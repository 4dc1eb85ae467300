// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/sockptr.h>
#include <linux/uaccess.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "caller/caller.h"
#include "caller/narrow.h"
#include "caller/replace.h"
#include "caller/revision.h"
#include "caller/sockopt.h"
#include "request/request.h"

/*
 * The numbers of one family. Structures are the same for all, but for what is inside an
 * entry, which is no business of ours.
 */
struct sockopt_family {
	struct nf_sockopt_ops ops;
	const char *prefix; /* of tables, tools and modules */
	u8 family;
	int set_replace;
	int set_add_counters;
	int get_info;
	int get_entries;
	int get_revision_match;
	int get_revision_target;
};

static struct bpfilter_request *new_request(struct sock *sk, const struct sockopt_family *family,
					    enum bpfilter_opcode opcode)
{
	return bpfilter_request_new(opcode, get_net(sock_net(sk)), family->family);
}

static int do_add_counters(struct bpfilter_request *request, sockptr_t from, unsigned int length)
{
	const u32 head = bpfilter_caller_layout()->counters_info;
	struct xt_counters_info info = {};
	int error;

	if (length <= head)
		return -EINVAL;
	if (copy_from_sockptr(&info, from, head))
		return -EFAULT;
	if (length != head + (u64)info.num_counters * sizeof(struct xt_counters))
		return -EINVAL;
	/* As many as any table may have; ip_tables has the memory for no more either. */
	if (length > BPFILTER_PAYLOAD_MAX)
		return -ENOMEM;
	info.name[sizeof(info.name) - 1] = '\0';
	error = bpfilter_caller_copy(request, from, head, length, &info, sizeof(info));
	return error ? error : bpfilter_caller_perform(request, info.name, 0);
}

/* Asks for an answer of exactly `size` bytes and copies it to the caller. */
static int perform_and_copy(struct bpfilter_request *request, const char *table, void __user *to,
			    u32 size)
{
	int error = bpfilter_caller_perform(request, table, 0);

	if (error)
		return error;
	if (request->reply_length != size)
		return -EIO;
	return copy_to_user(to, request->reply, size) ? -EFAULT : 0;
}

static int get_narrow_info(const struct bpfilter_request *request, const char *table,
			   void __user *user)
{
	struct ipt_getinfo info;
	int error;

	error = bpfilter_narrow_get_info(request->net, request->header.family, table, &info);
	if (error)
		return error;
	return copy_to_user(user, &info, sizeof(info)) ? -EFAULT : 0;
}

static int do_get_info(struct bpfilter_request *request, void __user *user, int length)
{
	struct bpfilter_table_name head;
	int error;

	if (length != sizeof(struct ipt_getinfo))
		return -EINVAL;
	if (copy_from_user(head.name, user, sizeof(head.name)))
		return -EFAULT;
	head.name[sizeof(head.name) - 1] = '\0';
	if (bpfilter_is_narrow())
		return get_narrow_info(request, head.name, user);
	bpfilter_request_set_head(request, &head, sizeof(head));
	error = bpfilter_request_reserve_reply(request, sizeof(struct ipt_getinfo));
	if (error)
		return error;
	return perform_and_copy(request, head.name, user, sizeof(struct ipt_getinfo));
}

/* -EAGAIN if the table is of another size than the caller thinks. */
static int check_size(const struct bpfilter_request *entries,
		      const struct bpfilter_get_entries *head)
{
	const struct ipt_getinfo *info;
	struct bpfilter_request *request;
	int error;

	request = bpfilter_request_new(BPFILTER_OP_GET_INFO, get_net(entries->net),
				       entries->header.family);
	if (!request)
		return -ENOMEM;
	bpfilter_request_set_head(request, head->name, sizeof(head->name));
	error = bpfilter_request_reserve_reply(request, sizeof(*info));
	if (!error)
		error = bpfilter_caller_perform(request, head->name, 0);
	if (!error && request->reply_length != sizeof(*info))
		error = -EIO;
	info = request->reply;
	if (!error && info->size != head->size)
		error = -EAGAIN;
	bpfilter_request_put(request);
	return error;
}

/* A listing longer than this has its size compared before memory is had for it. */
#define LONG_LISTING (64 * 1024)

static int do_get_entries(struct bpfilter_request *request, void __user *user, int length)
{
	const u32 header = bpfilter_caller_layout()->get_entries;
	struct bpfilter_get_entries head = {};
	int error;

	BUILD_BUG_ON(offsetof(struct bpfilter_get_entries, size) !=
		     offsetof(struct ipt_get_entries, size));
	if (length < (int)header)
		return -EINVAL;
	if (copy_from_user(&head, user, offsetofend(struct bpfilter_get_entries, size)))
		return -EFAULT;
	if (length != (u64)header + head.size)
		return -EINVAL;
	head.name[sizeof(head.name) - 1] = '\0';
	if (bpfilter_is_narrow())
		return bpfilter_narrow_get_entries(request->net, request->header.family, head.name,
						   head.size, user + header);
	bpfilter_request_set_head(request, &head, sizeof(head));
	error = head.size > LONG_LISTING ? check_size(request, &head) : 0;
	if (!error && head.size)
		error = bpfilter_request_reserve_reply(request, head.size);
	if (error)
		return error;
	return perform_and_copy(request, head.name, user + header, head.size);
}

/* x_tables knows, without the helper. */
static int get_revision(const struct sockopt_family *family, void __user *user, int length,
			bool target)
{
	struct xt_get_revision revision;

	if (length != sizeof(revision))
		return -EINVAL;
	if (copy_from_user(&revision, user, sizeof(revision)))
		return -EFAULT;
	revision.name[sizeof(revision.name) - 1] = '\0';
	return bpfilter_revision_find(family->family, revision.name, revision.revision, target);
}

/* Until the module is loaded its options are not there: it may fail to, and be gone. */
static bool is_open;

void bpfilter_sockopt_open(void)
{
	WRITE_ONCE(is_open, true);
}

static bool may_administrate(struct sock *sk)
{
	return ns_capable(sock_net(sk)->user_ns, CAP_NET_ADMIN);
}

static int set_sockopt(const struct sockopt_family *family, struct sock *sk, int option,
		       sockptr_t from, unsigned int length)
{
	struct bpfilter_request *request;
	int error;

	if (!READ_ONCE(is_open))
		return -ENOPROTOOPT;
	if (!may_administrate(sk))
		return -EPERM;
	if (option != family->set_replace && option != family->set_add_counters)
		return -EINVAL;
	request = new_request(sk, family,
			      option == family->set_replace ? BPFILTER_OP_REPLACE
							    : BPFILTER_OP_ADD_COUNTERS);
	if (!request)
		return -ENOMEM;
	if (option == family->set_replace)
		error = bpfilter_replace(request, from, length);
	else
		error = do_add_counters(request, from, length);
	bpfilter_request_put(request);
	return error;
}

static int get_table(const struct sockopt_family *family, struct sock *sk, int option,
		     void __user *user, int length)
{
	const bool info = option == family->get_info;
	struct bpfilter_request *request;
	int error;

	request = new_request(sk, family, info ? BPFILTER_OP_GET_INFO : BPFILTER_OP_GET_ENTRIES);
	if (!request)
		return -ENOMEM;
	if (info)
		error = do_get_info(request, user, length);
	else
		error = do_get_entries(request, user, length);
	bpfilter_request_put(request);
	return error;
}

static int get_sockopt(const struct sockopt_family *family, struct sock *sk, int option,
		       void __user *user, int *length)
{
	if (!READ_ONCE(is_open))
		return -ENOPROTOOPT;
	if (!may_administrate(sk))
		return -EPERM;
	if (option == family->get_info || option == family->get_entries)
		return get_table(family, sk, option, user, *length);
	if (option == family->get_revision_match || option == family->get_revision_target)
		return get_revision(family, user, *length, option == family->get_revision_target);
	return -EINVAL;
}

static int set_ipv4(struct sock *sk, int option, sockptr_t from, unsigned int length);
static int get_ipv4(struct sock *sk, int option, void __user *user, int *length);
static int set_ipv6(struct sock *sk, int option, sockptr_t from, unsigned int length);
static int get_ipv6(struct sock *sk, int option, void __user *user, int *length);

enum { IPV4, IPV6 };

static struct sockopt_family families[] = {
	[IPV4] = {
		.ops = {
			.pf = PF_INET,
			.set_optmin = IPT_BASE_CTL,
			.set_optmax = IPT_SO_SET_MAX + 1,
			.set = set_ipv4,
			.get_optmin = IPT_BASE_CTL,
			.get_optmax = IPT_SO_GET_MAX + 1,
			.get = get_ipv4,
			.owner = THIS_MODULE,
		},
		.prefix = "ip",
		.family = NFPROTO_IPV4,
		.set_replace = IPT_SO_SET_REPLACE,
		.set_add_counters = IPT_SO_SET_ADD_COUNTERS,
		.get_info = IPT_SO_GET_INFO,
		.get_entries = IPT_SO_GET_ENTRIES,
		.get_revision_match = IPT_SO_GET_REVISION_MATCH,
		.get_revision_target = IPT_SO_GET_REVISION_TARGET,
	},
	/* 66 and 67 are IPv6's own: the revisions have other numbers here. */
	[IPV6] = {
		.ops = {
			.pf = PF_INET6,
			.set_optmin = IP6T_BASE_CTL,
			.set_optmax = IP6T_SO_SET_MAX + 1,
			.set = set_ipv6,
			.get_optmin = IP6T_BASE_CTL,
			.get_optmax = IP6T_SO_GET_MAX + 1,
			.get = get_ipv6,
			.owner = THIS_MODULE,
		},
		.prefix = "ip6",
		.family = NFPROTO_IPV6,
		.set_replace = IP6T_SO_SET_REPLACE,
		.set_add_counters = IP6T_SO_SET_ADD_COUNTERS,
		.get_info = IP6T_SO_GET_INFO,
		.get_entries = IP6T_SO_GET_ENTRIES,
		.get_revision_match = IP6T_SO_GET_REVISION_MATCH,
		.get_revision_target = IP6T_SO_GET_REVISION_TARGET,
	},
};

static int set_ipv4(struct sock *sk, int option, sockptr_t from, unsigned int length)
{
	return set_sockopt(&families[IPV4], sk, option, from, length);
}

static int get_ipv4(struct sock *sk, int option, void __user *user, int *length)
{
	return get_sockopt(&families[IPV4], sk, option, user, length);
}

static int set_ipv6(struct sock *sk, int option, sockptr_t from, unsigned int length)
{
	return set_sockopt(&families[IPV6], sk, option, from, length);
}

static int get_ipv6(struct sock *sk, int option, void __user *user, int *length)
{
	return get_sockopt(&families[IPV6], sk, option, user, length);
}

static int register_family(struct sockopt_family *family)
{
	const char *prefix = family->prefix;
	int error = nf_register_sockopt(&family->ops);

	if (error == -EBUSY)
		pr_err("%s_tables is loaded and holds the socket options of %stables; remove it and what uses it first, as with: modprobe -r %stable_filter %stable_nat %stable_mangle %stable_raw %stable_security %s_tables\n",
		       prefix, prefix, prefix, prefix, prefix, prefix, prefix, prefix);
	return error;
}

int bpfilter_sockopt_init(void)
{
	int error;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(families); i++) {
		error = register_family(&families[i]);
		if (error)
			goto err_register;
	}
	return 0;

err_register:
	while (i--)
		nf_unregister_sockopt(&families[i].ops);
	return error;
}

void bpfilter_sockopt_exit(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(families); i++)
		nf_unregister_sockopt(&families[i].ops);
}
