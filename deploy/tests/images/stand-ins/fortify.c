// What Debian's unwinder, built against glibc with fortified headers, calls and musl does not have.
#include <stdarg.h>
#include <stdio.h>

int __vfprintf_chk(FILE *stream, int flag, const char *format, va_list arguments) {
  (void)flag;
  return vfprintf(stream, format, arguments);
}

int __vsnprintf_chk(char *text, size_t size, int flag, size_t room, const char *format, va_list arguments) {
  (void)flag;
  (void)room;
  return vsnprintf(text, size, format, arguments);
}
