// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/uaccess.h>
#include <net/inet_connection_sock.h>
#include <net/tcp.h>

#include "stap/alias.h"
#include "stap/policy.h"
#include "stap/program.h"
#include "stap/programs.h"
#include "stap/sockopt.h"
#include "stap/stap.h"

#define PROGRAMS STAP_PROGRAM_COUNT

static int get_programs(const struct stap_params *params, struct bpf_prog *program[PROGRAMS])
{
	const s32 fd[PROGRAMS] = { params->bpf_send_parse_fd, params->bpf_send_verdict_fd,
				   params->bpf_recv_parse_fd, params->bpf_recv_verdict_fd };
	int i, error;

	for (i = 0; i < PROGRAMS; i++) {
		program[i] = stap_program_get(fd[i]);
		if (IS_ERR(program[i])) {
			error = PTR_ERR(program[i]);
			program[i] = NULL;
			return error;
		}
	}
	return 0;
}

/* Of stap_params, or of a policy. */
static int fill_in(struct stap_programs *programs, struct sock *sk, bool policy, sockptr_t value,
		   size_t offset, size_t size)
{
	struct stap_params params;

	if (policy)
		return stap_policy_programs(sk, value, offset, size, programs);
	if (size != sizeof(params))
		return -EINVAL;
	if (copy_from_sockptr_offset(&params, value, offset, sizeof(params)))
		return -EFAULT;
	return get_programs(&params, programs->program);
}

static bool is_empty(const struct stap_programs *programs)
{
	int i;

	for (i = 0; i < PROGRAMS; i++)
		if (programs->program[i])
			return false;
	return true;
}

/* NULL if there are to be none. */
static struct stap_programs *make_programs(struct sock *sk, bool policy, sockptr_t value,
					   size_t offset, size_t size)
{
	struct stap_programs *programs = stap_programs_new();
	int error;

	if (!programs)
		return ERR_PTR(-ENOMEM);
	error = fill_in(programs, sk, policy, value, offset, size);
	if (!error && !is_empty(programs))
		return programs;
	stap_programs_put(programs);
	return ERR_PTR(error);
}

int stap_set_option(struct sock *sk, int name, sockptr_t value, unsigned int size)
{
	struct stap_programs *programs;
	int error;

	if (name != STAP_PROGRAMS && name != STAP_POLICY)
		return -ENOPROTOOPT;
	programs = make_programs(sk, name == STAP_POLICY, value, 0, size);
	if (IS_ERR(programs))
		return PTR_ERR(programs);
	error = stap_install(sk, programs);
	if (error)
		stap_programs_put(programs);
	else
		stap_alias_used();
	return error;
}

static u32 id_of(const struct bpf_prog *program)
{
	return program ? program->aux->id : 0;
}

static struct stap_direction_info direction_info(const struct stap_direction *direction)
{
	return (struct stap_direction_info) {
		.parse_id = id_of(direction->parse),
		.verdict_id = id_of(direction->verdict),
		.messages = direction->messages,
		.bytes = direction->bytes,
		.dropped = direction->dropped,
	};
}

struct stap_info stap_info_of(const struct stap *tap)
{
	return (struct stap_info) {
		.send = direction_info(&tap->send),
		.recv = direction_info(&tap->recv),
	};
}

static int put_to_user(const void *data, int there, char __user *value, int __user *size)
{
	int room;

	if (get_user(room, size))
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	room = min(room, there);
	if (copy_to_user(value, data, room) || put_user(room, size))
		return -EFAULT;
	return 0;
}

static void get_info(struct sock *sk, struct stap_info *info)
{
	lock_sock(sk);
	*info = stap_info_of(stap_of(sk));
	release_sock(sk);
}

int stap_get_option(struct sock *sk, int name, char __user *value, int __user *size)
{
	struct stap_info info;

	if (name != STAP_INFO)
		return -ENOPROTOOPT;
	if (!stap_of(sk))
		return -ECONNABORTED;
	get_info(sk, &info);
	return put_to_user(&info, sizeof(info), value, size);
}

static bool is_tcp(const struct sock *sk)
{
	return sk->sk_type == SOCK_STREAM && sk->sk_protocol == IPPROTO_TCP &&
	       (sk->sk_family == AF_INET || sk->sk_family == AF_INET6);
}

static int set_ulp(struct sock *sk, char *name)
{
	return sk->sk_prot->setsockopt(sk, SOL_TCP, TCP_ULP, KERNEL_SOCKPTR(name), strlen(name));
}

/* All that can fail does so before the socket is touched. */
static int tap_at_once(struct sock *sk, sockptr_t value, unsigned int size)
{
	const size_t head = sizeof(struct ulp_config);
	struct stap_programs *programs;
	int error;

	programs = make_programs(sk, size >= head + sizeof(struct stap_policy), value, head,
				 size - head);
	if (IS_ERR(programs))
		return PTR_ERR(programs);
	error = stap_attach(sk, programs);
	if (error)
		stap_programs_put(programs);
	return error;
}

static int set_ulp_of_any_name(struct sock *sk, sockptr_t value, unsigned int size)
{
	struct ulp_config config;

	if (size < sizeof(config))
		return -EINVAL;
	if (copy_from_sockptr(&config, value, sizeof(config)))
		return -EFAULT;
	if (strnlen(config.ulp_name, ULP_NAME_MAX) == ULP_NAME_MAX)
		return -EINVAL;
	if (!strcmp(config.ulp_name, "stap"))
		return tap_at_once(sk, value, size);
	return size == sizeof(config) ? set_ulp(sk, config.ulp_name) : -EINVAL;
}

static int set_so_ulp(struct sock *sk, int name, sockptr_t value, unsigned int size)
{
	int error;

	if (!is_tcp(sk))
		return -ENOPROTOOPT;
	error = set_ulp_of_any_name(sk, value, size);
	if (!error)
		stap_alias_used();
	return error;
}

static int get_so_ulp(struct sock *sk, int name, void __user *value, int *size)
{
	struct {
		struct ulp_config config;
		struct stap_info info;
	} answer = {};
	int there = sizeof(answer.config);

	if (!is_tcp(sk))
		return -ENOPROTOOPT;
	if (*size < 0)
		return -EINVAL;
	lock_sock(sk);
	if (inet_csk(sk)->icsk_ulp_ops)
		strscpy(answer.config.ulp_name, inet_csk(sk)->icsk_ulp_ops->name, ULP_NAME_MAX);
	release_sock(sk);
	if (!strcmp(answer.config.ulp_name, "stap") && stap_of(sk)) {
		get_info(sk, &answer.info);
		there = sizeof(answer);
	}
	*size = min(*size, there);
	return copy_to_user(value, &answer, *size) ? -EFAULT : 0;
}

static struct nf_sockopt_ops so_ulp_options = {
	.pf = PF_INET,
	.set_optmin = STAP_SO_ULP,
	.set_optmax = STAP_SO_ULP + 1,
	.set = set_so_ulp,
	.get_optmin = STAP_SO_ULP,
	.get_optmax = STAP_SO_ULP + 1,
	.get = get_so_ulp,
	.owner = THIS_MODULE,
};

int __init stap_sockopt_init(void)
{
	return nf_register_sockopt(&so_ulp_options);
}

void stap_sockopt_exit(void)
{
	nf_unregister_sockopt(&so_ulp_options);
}
