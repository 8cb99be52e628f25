/*
 * Messages to and from sockets, by vectors and in batches. Control messages pass through as bytes; TypeScript builds
 * and reads them.
 */
#include "native.h"

/* One entry of a message table in the arena: eight int32. */
enum {
	ENTRY_DATA_OFFSET,
	ENTRY_DATA_LENGTH,
	ENTRY_NAME_OFFSET,
	ENTRY_NAME_LENGTH,
	ENTRY_CONTROL_OFFSET,
	ENTRY_CONTROL_LENGTH,
	ENTRY_FLAGS,
	ENTRY_RESULT_LENGTH,
	ENTRY_WORDS,
};

#define ENTRY_BYTES (ENTRY_WORDS * 4)

static inline int32_t load_entry(const uint8_t *entry, int word)
{
	return load_int32(entry + word * 4);
}

static inline void store_entry(uint8_t *entry, int word, int32_t value)
{
	store_int32(entry + word * 4, value);
}

/* sendVectors(fd, vectorOffset, count, flags): one message from (offset, length) pairs. Never raises SIGPIPE. */
static napi_value send_vectors(napi_env env, napi_callback_info info)
{
	int32_t arguments[4];
	struct native_state *state = read_arguments(env, info, 4, arguments);
	struct msghdr message = { 0 };
	ssize_t sent;
	int32_t error;

	if (!state)
		return integer_result(env, -EINVAL);
	error = translate_vectors(state, arguments[1], arguments[2]);
	if (error)
		return integer_result(env, error);
	message.msg_iov = state->vectors;
	message.msg_iovlen = (size_t)arguments[2];
	do {
		sent = sendmsg(arguments[0], &message, arguments[3] | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return integer_result(env, result_of(sent));
}

/* receiveVectors(fd, vectorOffset, count, flags): one message into (offset, length) pairs. */
static napi_value receive_vectors(napi_env env, napi_callback_info info)
{
	int32_t arguments[4];
	struct native_state *state = read_arguments(env, info, 4, arguments);
	struct msghdr message = { 0 };
	ssize_t received;
	int32_t error;

	if (!state)
		return integer_result(env, -EINVAL);
	error = translate_vectors(state, arguments[1], arguments[2]);
	if (error)
		return integer_result(env, error);
	message.msg_iov = state->vectors;
	message.msg_iovlen = (size_t)arguments[2];
	do {
		received = recvmsg(arguments[0], &message, arguments[3]);
	} while (received < 0 && errno == EINTR);
	return integer_result(env, result_of(received));
}

/*
 * discard(fd, length): discards that many bytes from a TCP socket's receive queue without copying them (MSG_TRUNC,
 * tcp(7)). Returns how many, which is less than `length` only when the queue ran empty; a negative errno when there was
 * none.
 */
static napi_value discard(napi_env env, napi_callback_info info)
{
	int32_t arguments[2];
	size_t done = 0, length;

	if (!read_arguments(env, info, 2, arguments) || arguments[1] < 0)
		return integer_result(env, -EINVAL);
	length = (size_t)arguments[1];
	while (done < length) {
		ssize_t taken = recv(arguments[0], NULL, length - done, MSG_TRUNC | MSG_DONTWAIT);

		if (taken < 0) {
			if (errno == EINTR)
				continue;
			if (!done)
				return integer_result(env, -errno);
			break;
		}
		if (!taken)
			break;
		done += (size_t)taken;
	}
	return integer_result(env, (int32_t)done);
}

/* Fills state->messages and state->vectors from a table. Returns the table, or NULL with *error set. */
static uint8_t *translate_messages(struct native_state *state, int32_t offset, int32_t count, int32_t *error)
{
	uint8_t *table;

	*error = -EINVAL;
	if (count < 0 || count > MAXIMUM_VECTORS)
		return NULL;
	*error = -EFAULT;
	table = memory_at(state, offset, (int64_t)count * ENTRY_BYTES);
	if (!table)
		return NULL;
	for (int32_t i = 0; i < count; i++) {
		const uint8_t *entry = table + (size_t)i * ENTRY_BYTES;
		int32_t data_length = load_entry(entry, ENTRY_DATA_LENGTH);
		int32_t name_length = load_entry(entry, ENTRY_NAME_LENGTH);
		int32_t control_length = load_entry(entry, ENTRY_CONTROL_LENGTH);
		void *data = memory_at(state, load_entry(entry, ENTRY_DATA_OFFSET), data_length);
		void *name = memory_at(state, load_entry(entry, ENTRY_NAME_OFFSET), name_length);
		void *control = memory_at(state, load_entry(entry, ENTRY_CONTROL_OFFSET), control_length);
		struct msghdr *header = &state->messages[i].msg_hdr;

		if (!data || !name || !control)
			return NULL;
		state->vectors[i].iov_base = data;
		state->vectors[i].iov_len = (size_t)data_length;
		header->msg_name = name_length ? name : NULL;
		header->msg_namelen = (socklen_t)name_length;
		header->msg_iov = &state->vectors[i];
		header->msg_iovlen = 1;
		header->msg_control = control_length ? control : NULL;
		header->msg_controllen = (size_t)control_length;
		header->msg_flags = 0;
		state->messages[i].msg_len = 0;
	}
	return table;
}

/*
 * receiveMessages(fd, tableOffset, count, flags): as many messages as there are, at most `count`. Writes nameLength,
 * controlLength, flags and resultLength of each back to its entry: the lengths must be set again before the next call.
 * Returns how many; a negative errno when there was none.
 */
static napi_value receive_messages(napi_env env, napi_callback_info info)
{
	int32_t arguments[4], error;
	struct native_state *state = read_arguments(env, info, 4, arguments);
	uint8_t *table;
	int received;

	if (!state)
		return integer_result(env, -EINVAL);
	table = translate_messages(state, arguments[1], arguments[2], &error);
	if (!table)
		return integer_result(env, error);
	do {
		received = recvmmsg(arguments[0], state->messages, (unsigned int)arguments[2], arguments[3], NULL);
	} while (received < 0 && errno == EINTR);
	if (received < 0)
		return integer_result(env, -errno);
	for (int i = 0; i < received; i++) {
		const struct mmsghdr *message = &state->messages[i];
		uint8_t *entry = table + (size_t)i * ENTRY_BYTES;

		store_entry(entry, ENTRY_NAME_LENGTH, (int32_t)message->msg_hdr.msg_namelen);
		store_entry(entry, ENTRY_CONTROL_LENGTH, (int32_t)message->msg_hdr.msg_controllen);
		store_entry(entry, ENTRY_FLAGS, message->msg_hdr.msg_flags);
		store_entry(entry, ENTRY_RESULT_LENGTH, (int32_t)message->msg_len);
		record_received_descriptors(state, &message->msg_hdr);
	}
	return integer_result(env, received);
}

/*
 * sendMessages(fd, tableOffset, count, flags): sends in order until one fails; resultLength of those sent is written
 * back. Returns how many were sent; a negative errno when the first failed. Never raises SIGPIPE.
 */
static napi_value send_messages(napi_env env, napi_callback_info info)
{
	int32_t arguments[4], error;
	struct native_state *state = read_arguments(env, info, 4, arguments);
	uint8_t *table;
	int sent;

	if (!state)
		return integer_result(env, -EINVAL);
	table = translate_messages(state, arguments[1], arguments[2], &error);
	if (!table)
		return integer_result(env, error);
	do {
		sent = sendmmsg(arguments[0], state->messages, (unsigned int)arguments[2], arguments[3] | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return integer_result(env, -errno);
	for (int i = 0; i < sent; i++)
		store_entry(table + (size_t)i * ENTRY_BYTES, ENTRY_RESULT_LENGTH, (int32_t)state->messages[i].msg_len);
	return integer_result(env, sent);
}

napi_value register_message(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "sendVectors", send_vectors },
		{ "receiveVectors", receive_vectors },
		{ "discard", discard },
		{ "receiveMessages", receive_messages },
		{ "sendMessages", send_messages },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
