/*
 * The socket options and ioctl() requests that are allowed. Others take addresses in their structures, or a length in
 * units of their own, with which the kernel would read or write beyond the arena. So each one that TypeScript uses is
 * listed here, with the size of its value where the caller doesn't choose one. Before you add one, make sure that its
 * structure holds no address.
 */
#include "native.h"

#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>

/* For a C library older than the kernel. */
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif
#ifndef TCP_SAVE_SYN
#define TCP_SAVE_SYN 27
#define TCP_SAVED_SYN 28
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894c
#endif

static bool is_integer_of_socket(int32_t name)
{
	switch (name) {
	case SO_ACCEPTCONN:
	case SO_BROADCAST:
	case SO_DOMAIN:
	case SO_ERROR:
	case SO_KEEPALIVE:
	case SO_OOBINLINE:
	case SO_PEEK_OFF:
	case SO_PROTOCOL:
	case SO_RCVBUF:
	case SO_REUSEADDR:
	case SO_SNDBUF:
	case SO_TYPE:
		return true;
	default:
		return false;
	}
}

static bool is_integer_of_ipv4(int32_t name)
{
	switch (name) {
	case IP_BIND_ADDRESS_NO_PORT:
	case IP_FREEBIND:
	case IP_MTU_DISCOVER:
	case IP_MULTICAST_TTL:
	case IP_PKTINFO:
	case IP_RECVERR:
	case IP_RECVTOS:
	case IP_RECVTTL:
	case IP_TOS:
	case IP_TTL:
		return true;
	default:
		return false;
	}
}

static bool is_integer_of_ipv6(int32_t name)
{
	switch (name) {
	case IPV6_DONTFRAG:
	case IPV6_FREEBIND:
	case IPV6_MTU_DISCOVER:
	case IPV6_MULTICAST_HOPS:
	case IPV6_MULTICAST_IF:
	case IPV6_RECVERR:
	case IPV6_RECVHOPLIMIT:
	case IPV6_RECVPKTINFO:
	case IPV6_RECVTCLASS:
	case IPV6_TCLASS:
	case IPV6_UNICAST_HOPS:
	case IPV6_V6ONLY:
		return true;
	default:
		return false;
	}
}

static bool is_integer_of_tcp(int32_t name)
{
	switch (name) {
	case TCP_KEEPCNT:
	case TCP_KEEPIDLE:
	case TCP_KEEPINTVL:
	case TCP_MAXSEG:
	case TCP_NODELAY:
	case TCP_QUICKACK:
	case TCP_SAVE_SYN:
		return true;
	default:
		return false;
	}
}

static bool is_integer_of_netlink(int32_t name)
{
	switch (name) {
	case NETLINK_ADD_MEMBERSHIP:
	case NETLINK_CAP_ACK:
	case NETLINK_EXT_ACK:
	case NETLINK_GET_STRICT_CHK:
		return true;
	default:
		return false;
	}
}

bool is_integer_option(int32_t level, int32_t name)
{
	switch (level) {
	case SOL_SOCKET:
		return is_integer_of_socket(name);
	case IPPROTO_IP:
		return is_integer_of_ipv4(name);
	case IPPROTO_IPV6:
		return is_integer_of_ipv6(name);
	case IPPROTO_TCP:
		return is_integer_of_tcp(name);
	case IPPROTO_UDP:
		return name == UDP_SEGMENT || name == UDP_GRO;
	case SOL_NETLINK:
		return is_integer_of_netlink(name);
	default:
		return false;
	}
}

bool is_structure_to_set(int32_t level, int32_t name)
{
	switch (level) {
	case SOL_SOCKET:
		return name == SO_BINDTODEVICE || name == SO_LINGER || name == SO_RCVTIMEO;
	case IPPROTO_IP:
		return name == IP_ADD_MEMBERSHIP;
	case IPPROTO_IPV6:
		return name == IPV6_ADD_MEMBERSHIP;
	default:
		return false;
	}
}

bool is_structure_to_get(int32_t level, int32_t name)
{
	return (level == SOL_SOCKET && name == SO_PEERCRED) ||
	       (level == IPPROTO_TCP && (name == TCP_INFO || name == TCP_SAVED_SYN));
}

size_t structure_of_request(uint32_t request)
{
	switch (request) {
	case SIOCGIFFLAGS:
	case SIOCGIFINDEX:
	case SIOCSIFFLAGS:
	case TUNSETIFF:
		return sizeof(struct ifreq);
	case TUNGETFEATURES:
	case TUNSETVNETHDRSZ:
		return sizeof(int);
	/* These take no argument: the result is everything. */
	case NS_GET_NSTYPE:
	case NS_GET_USERNS:
	case SIOCGSKNS:
		return sizeof(int);
	default:
		return 0;
	}
}

bool is_request_for_integer(uint32_t request)
{
	switch (request) {
	case SIOCINQ:
	case SIOCOUTQ:
	case SIOCOUTQNSD:
		return true;
	default:
		return false;
	}
}

bool is_request_with_number(uint32_t request)
{
	switch (request) {
	case TIOCNOTTY:
	case TIOCSCTTY:
	case TUNSETGROUP:
	case TUNSETLINK:
	case TUNSETOFFLOAD:
	case TUNSETOWNER:
	case TUNSETPERSIST:
		return true;
	default:
		return false;
	}
}
