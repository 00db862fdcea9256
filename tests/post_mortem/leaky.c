// A service that leaks, and ends in good order at SIGTERM.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static volatile sig_atomic_t ended;
static void end(int signal) { ended = signal; }

int main(void) {
  signal(SIGTERM, end);
  for (int i = 0; i < 10; ++i) ((char* volatile)malloc(100))[0] = 'x';
  puts("up");
  fflush(stdout);
  while (!ended) usleep(10000);
  return 0;
}
