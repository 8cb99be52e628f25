/*
 * The Internet checksum (RFC 1071) over a range of the arena.
 *
 * The ones' complement sum does not depend on byte order (RFC 1071, section 2 (B)): memory is summed in the order of
 * the machine, in words as wide as convenient, and the folded result is swapped once at the end.
 */
#include "native.h"

#include <endian.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* All sums below are in the machine's byte order and wrap at 2^64 - 1 (ones' complement), not at 2^64. */
static inline uint64_t add_carry(uint64_t sum, uint64_t value)
{
	sum += value;
	return sum + (sum < value);
}

static uint64_t sum_portable(const uint8_t *at, size_t length)
{
	uint64_t sum = 0;

	for (; length >= 32; at += 32, length -= 32) {
		uint64_t words[4];

		memcpy(words, at, sizeof(words));
		sum = add_carry(sum, words[0]);
		sum = add_carry(sum, words[1]);
		sum = add_carry(sum, words[2]);
		sum = add_carry(sum, words[3]);
	}
	for (; length >= 8; at += 8, length -= 8) {
		uint64_t word;

		memcpy(&word, at, sizeof(word));
		sum = add_carry(sum, word);
	}
	if (length) {
		/* An odd last byte counts as the first of a pair whose second is zero: the padding provides it. */
		uint64_t word = 0;

		memcpy(&word, at, length);
		sum = add_carry(sum, word);
	}
	return sum;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t sum_avx2(const uint8_t *at, size_t length)
{
	/*
	 * Halves of 64-bit lanes, added as 64-bit integers: a lane takes 2^32 additions of a 32-bit word before it can
	 * overflow, far beyond an int32 length.
	 */
	const __m256i low_half = _mm256_set1_epi64x(0xffffffff);
	__m256i even = _mm256_setzero_si256();
	__m256i odd = _mm256_setzero_si256();
	uint64_t lanes[4];
	uint64_t sum;

	for (; length >= 64; at += 64, length -= 64) {
		__m256i first = _mm256_loadu_si256((const __m256i *)(const void *)at);
		__m256i second = _mm256_loadu_si256((const __m256i *)(const void *)(at + 32));

		even = _mm256_add_epi64(even, _mm256_and_si256(first, low_half));
		odd = _mm256_add_epi64(odd, _mm256_srli_epi64(first, 32));
		even = _mm256_add_epi64(even, _mm256_and_si256(second, low_half));
		odd = _mm256_add_epi64(odd, _mm256_srli_epi64(second, 32));
	}
	_mm256_storeu_si256((__m256i *)(void *)lanes, _mm256_add_epi64(even, odd));
	/*
	 * gcc omits this in functions with a target of their own; code without AVX that follows would then cost 120 ns
	 * more.
	 */
	_mm256_zeroupper();
	sum = sum_portable(at, length);
	for (int i = 0; i < 4; i++)
		sum = add_carry(sum, lanes[i]);
	return sum;
}
#endif

static uint64_t sum_bytes(const uint8_t *at, size_t length)
{
#if defined(__x86_64__)
	/* Below this, setting the lanes up costs more than it saves. */
	if (length >= 128 && __builtin_cpu_supports("avx2"))
		return sum_avx2(at, length);
#endif
	return sum_portable(at, length);
}

static uint16_t fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)sum;
}

static int32_t checksum_of(const struct native_state *state, const int32_t *arguments,
			   uint64_t (*sum)(const uint8_t *, size_t))
{
	const uint8_t *memory = memory_at(state, arguments[0], arguments[1]);

	if (!memory)
		return -EFAULT;
	return fold((uint64_t)be16toh(fold(sum(memory, (size_t)arguments[1]))) + (uint32_t)arguments[2]);
}

/*
 * checksum(offset, length, initial): the folded, not complemented sum of the range's 16-bit big-endian words as a
 * number from 0 to 65535, `initial` (an unsigned 32-bit partial sum of the same kind) added. Sums of several ranges
 * chain through `initial` as long as every range but the last has an even length.
 */
static napi_value checksum(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];
	struct native_state *state = read_arguments(env, info, 3, arguments);

	if (!state)
		return integer_result(env, -EINVAL);
	return integer_result(env, checksum_of(state, arguments, sum_bytes));
}

/* checksumPortable(offset, length, initial): the same without vector instructions, so that tests reach both. */
static napi_value checksum_portable(napi_env env, napi_callback_info info)
{
	int32_t arguments[3];
	struct native_state *state = read_arguments(env, info, 3, arguments);

	if (!state)
		return integer_result(env, -EINVAL);
	return integer_result(env, checksum_of(state, arguments, sum_portable));
}

napi_value register_checksum(napi_env env, napi_value exports)
{
	static const struct native_function functions[] = {
		{ "checksum", checksum },
		{ "checksumPortable", checksum_portable },
	};

	ADD_FUNCTIONS(env, exports, functions);
	return exports;
}
