// SPDX-License-Identifier: GPL-2.0
#include <linux/net.h>
#include <net/inet_common.h>

#include "stap/base.h"
#include "stap/gate.h"

struct proto stap_newborn[STAP_FAMILIES] __ro_after_init;
static void (*base_data_ready)(struct sock *sk) __ro_after_init;
/* TCP's own for IPv6 are not exported: they are those of the first socket that comes. */
static const struct proto_ops *base_ops[STAP_FAMILIES] = { [STAP_V4] = &inet_stream_ops };

int stap_family_of(const struct sock *sk)
{
	return sk->sk_family == AF_INET6 ? STAP_V6 : STAP_V4;
}

const struct proto_ops *stap_base_ops(const struct sock *sk)
{
	return base_ops[stap_family_of(sk)];
}

void (*stap_base_data_ready(void))(struct sock *sk)
{
	return base_data_ready;
}

bool stap_is_plain(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	/* The kernel's own, which SMC, say, has underneath: its user's data may go elsewhere. */
	if (sk->sk_socket && !sk->sk_socket->file)
		return false;
	/* A connect() that waits for the first bytes would wait for ever: we wait for it. */
	return sk->sk_prot == stap_base(sk) && !sk->sk_user_data && !tp->repair &&
	       sk->sk_data_ready == base_data_ready &&
	       !(tp->fastopen_connect && (1 << sk->sk_state) & (TCPF_CLOSE | TCPF_SYN_SENT));
}

void stap_base_use_gate(struct sock *sk)
{
	/* Of a connection before. The next connect() would wait for data, which wait for it. */
	tcp_sk(sk)->fastopen_connect = 0;
	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_data_ready = stap_gate_data_ready;
	write_unlock_bh(&sk->sk_callback_lock);
}

void stap_base_put_on_newborn(struct sock *sk)
{
	WRITE_ONCE(sk->sk_prot, &stap_newborn[stap_family_of(sk)]);
	stap_base_use_gate(sk);
}

void stap_base_put_back(struct sock *sk)
{
	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_data_ready = base_data_ready;
	write_unlock_bh(&sk->sk_callback_lock);
	WRITE_ONCE(sk->sk_prot, stap_base(sk));
}

void stap_base_set_ops(int family, const struct proto_ops *ops)
{
	base_ops[family] = ops;
}

/* What it is called with is not exported. */
int __init stap_base_init(void)
{
	struct socket *sock;
	int error = sock_create_kern(&init_net, AF_INET, SOCK_STREAM, IPPROTO_TCP, &sock);

	if (error)
		return error;
	base_data_ready = sock->sk->sk_data_ready;
	sock_release(sock);
	return 0;
}
