/// LibTorch's ZIP reader forgets its tables (under 1 kB) when it refuses a damaged archive; nothing of ours leaks.
/// LeakSanitizer calls this function by its name; without the sanitizer it is never called.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:mz_zip_reader_init\nleak:mz_zip_reader_read_central_dir\n";
}
