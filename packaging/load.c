/* load FILE SYMBOL: does this system's loader resolve every symbol of FILE, and find SYMBOL? */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    void *file = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!file || !dlsym(file, argv[2])) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    printf("ok: %s is loaded and has %s\n", argv[1], argv[2]);
    return 0;
}
