#include "textflag.h"

// SHA-1 in a nutshell (FIPS 180-4, 6.1.2): a block of 64 bytes is 16 words W0
// to W15. 64 more are made of them, each of four earlier ones:
//
//	W[t] = rotate(W[t-3] ^ W[t-8] ^ W[t-14] ^ W[t-16], 1)
//
// Then 80 rounds, one for each word, stir the words into the state A B C D E.
// At last the state from before the block is added.
//
// The instructions do four rounds at a time, so here are 20 groups of four.
// A register holds four words, the one that is first in time at the top
// (Intel, Software Developer's Manual, volume 2B; destination last as in all
// of Go's assembly):
//
//	SHA1RNDS4 $f, E, S   S = A B C D four rounds later. E holds the four words
//	                     of the group, with the state's E added to the top one.
//	                     f picks the function and constant: 0 for the first
//	                     five groups, then 1, 2 and 3.
//	SHA1NEXTE M, E       makes the E for that: four rounds on, the state's E is
//	                     the A from before them, rotated. E = M, with the
//	                     rotated top of E added to its top.
//	SHA1MSG1 N, M        M = W[t-16..] ^ W[t-14..], when M is the group four
//	                     before the wanted one, and N the next.
//	PXOR P, M            adds W[t-8..], P being the group after N.
//	SHA1MSG2 Q, M        adds W[t-3..], Q being the group after P, and rotates:
//	                     M is the group of words that was wanted.
//
// So four registers hold all words that are still needed. Group g, whose words
// are in M, takes these three steps for three different groups: the last one
// for the words of g+1, the second for g+2, and the first for g+3.
//
// Each SHA1RNDS4 waits for the one before. That is why there are two messages,
// lanes A and B: the processor works on a group of one while that of the other
// is under way.

// Registers: what is in one lane, then in the other.
#define ABCDA X0
#define EA X1
#define FA X2
#define A0 X3
#define A1 X4
#define A2 X5
#define A3 X6

#define ABCDB X7
#define EB X8
#define FB X9
#define B0 X10
#define B1 X11
#define B2 X12
#define B3 X13

#define FLIP X14

// LOAD reads four words, whose bytes and order are the other way round.
#define LOAD(from, M) \
	MOVOU from, M; \
	PSHUFB FLIP, M

// ROUNDS is four rounds with the words M. E is S from before the last four; F
// becomes S from before these.
#define ROUNDS(f, S, E, F, M) \
	SHA1NEXTE M, E; \
	MOVO S, F; \
	SHA1RNDS4 $f, E, S

// STEP is ROUNDS, and the words to come: M0 are those of this group, M1, M2
// and M3 will be those of the next three. M3 is in the first of its steps.
#define STEP(f, S, E, F, M0, M1, M2, M3) \
	SHA1MSG2 M0, M1; \
	ROUNDS(f, S, E, F, M0); \
	PXOR M0, M2; \
	SHA1MSG1 M0, M3

// GROUP0 to GROUP3 are STEP in both lanes, for groups whose number leaves that
// rest when divided by four.
#define GROUP0(f) \
	STEP(f, ABCDA, EA, FA, A0, A1, A2, A3); \
	STEP(f, ABCDB, EB, FB, B0, B1, B2, B3)

#define GROUP1(f) \
	STEP(f, ABCDA, FA, EA, A1, A2, A3, A0); \
	STEP(f, ABCDB, FB, EB, B1, B2, B3, B0)

#define GROUP2(f) \
	STEP(f, ABCDA, EA, FA, A2, A3, A0, A1); \
	STEP(f, ABCDB, EB, FB, B2, B3, B0, B1)

#define GROUP3(f) \
	STEP(f, ABCDA, FA, EA, A3, A0, A1, A2); \
	STEP(f, ABCDB, FB, EB, B3, B0, B1, B2)

// FINISH adds the state from before the block, which is still in memory, and
// stores the new one.
#define FINISH(dcba, e, S, E, M0, M1) \
	MOVOU dcba, M0; \
	MOVOU e, M1; \
	PADDD M0, S; \
	SHA1NEXTE M1, E; \
	MOVOU S, dcba; \
	MOVOU E, e

// All 16 bytes in reverse order.
DATA flip<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA flip<>+8(SB)/8, $0x0001020304050607
GLOBL flip<>(SB), (RODATA|NOPTR), $16

// func blocks(lanes *[2]lane, a, b []byte)
TEXT ·blocks(SB), NOSPLIT, $0-56
	MOVQ lanes+0(FP), DI
	MOVQ a_base+8(FP), SI
	MOVQ a_len+16(FP), CX
	MOVQ b_base+32(FP), DX
	SHRQ $6, CX
	JZ   done

	MOVOU flip<>(SB), FLIP
	MOVOU 0(DI), ABCDA
	MOVOU 16(DI), EA
	MOVOU 32(DI), ABCDB
	MOVOU 48(DI), EB

loop:
	// Group 0: the state's E is at hand, and only added.
	LOAD(0(SI), A0)
	LOAD(0(DX), B0)
	PADDD A0, EA
	MOVO ABCDA, FA
	SHA1RNDS4 $0, EA, ABCDA
	PADDD B0, EB
	MOVO ABCDB, FB
	SHA1RNDS4 $0, EB, ABCDB

	// Groups 1 to 3: the words are read, and the steps begin.
	LOAD(16(SI), A1)
	LOAD(16(DX), B1)
	ROUNDS(0, ABCDA, FA, EA, A1)
	SHA1MSG1 A1, A0
	ROUNDS(0, ABCDB, FB, EB, B1)
	SHA1MSG1 B1, B0

	LOAD(32(SI), A2)
	LOAD(32(DX), B2)
	ROUNDS(0, ABCDA, EA, FA, A2)
	PXOR A2, A0
	SHA1MSG1 A2, A1
	ROUNDS(0, ABCDB, EB, FB, B2)
	PXOR B2, B0
	SHA1MSG1 B2, B1

	LOAD(48(SI), A3)
	LOAD(48(DX), B3)
	GROUP3(0)

	// Groups 4 to 16: as all are.
	GROUP0(0)
	GROUP1(1)
	GROUP2(1)
	GROUP3(1)
	GROUP0(1)
	GROUP1(1)
	GROUP2(2)
	GROUP3(2)
	GROUP0(2)
	GROUP1(2)
	GROUP2(2)
	GROUP3(3)
	GROUP0(3)

	// Groups 17 to 19: the last words, and no more after them.
	SHA1MSG2 A1, A2
	ROUNDS(3, ABCDA, FA, EA, A1)
	PXOR A1, A3
	SHA1MSG2 B1, B2
	ROUNDS(3, ABCDB, FB, EB, B1)
	PXOR B1, B3

	SHA1MSG2 A2, A3
	ROUNDS(3, ABCDA, EA, FA, A2)
	SHA1MSG2 B2, B3
	ROUNDS(3, ABCDB, EB, FB, B2)

	ROUNDS(3, ABCDA, FA, EA, A3)
	ROUNDS(3, ABCDB, FB, EB, B3)

	FINISH(0(DI), 16(DI), ABCDA, EA, A0, A1)
	FINISH(32(DI), 48(DI), ABCDB, EB, B0, B1)

	ADDQ $64, SI
	ADDQ $64, DX
	DECQ CX
	JNZ  loop

done:
	RET

// func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL subleaf+4(FP), CX
	CPUID
	MOVL AX, eax+8(FP)
	MOVL BX, ebx+12(FP)
	MOVL CX, ecx+16(FP)
	MOVL DX, edx+20(FP)
	RET
