/* The engine's allocator offers to jump out when memory ends; we never arm it, and wasm has no jumps to offer. */
#pragma once
typedef int jmp_buf[1];
_Noreturn void longjmp(jmp_buf target, int value);
