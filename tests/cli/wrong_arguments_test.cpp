// Arguments that are wrong: one line on standard error that names the culprit, exit status 2, and no file is touched.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "catch.h"
#include "cli/cli.h"
#include "temporary_folder.h"

namespace {

using Words = std::vector<std::string>;

std::string content(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

/// While it lives, what is written to a standard stream goes into a file.
class Redirected {
 public:
  Redirected(std::FILE* stream, const std::filesystem::path& file) : stream_(stream), kept_(dup(fileno(stream))) {
    std::fflush(stream_);
    const int opened = open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(opened, fileno(stream_));
    close(opened);
  }
  Redirected(const Redirected&) = delete;
  Redirected& operator=(const Redirected&) = delete;
  ~Redirected() {
    std::fflush(stream_);
    dup2(kept_, fileno(stream_));
    close(kept_);
  }

 private:
  std::FILE* stream_;
  int kept_;
};

struct Answer {
  int status = 0;
  std::string out, err;
};

/// Runs one command line in this process, without the program's name.
Answer run(const TemporaryFolder& folder, Words words) {
  words.insert(words.begin(), "lossatlas");
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  Answer answer;
  {
    const Redirected out(stdout, folder / "out"), err(stderr, folder / "err");
    answer.status = lossatlas::run_command_line(static_cast<int>(pointers.size()), pointers.data());
  }
  answer.out = content(folder / "out");
  answer.err = content(folder / "err");
  return answer;
}

/// Arguments, and what the line names.
struct Wrong {
  Words words;
  Words culprits;
};

void check_refused(const TemporaryFolder& said, const Words& words, const Words& culprits) {
  CAPTURE(words);
  const Answer answer = run(said, words);
  CHECK(answer.status == 2);
  CHECK(answer.out.empty());
  CHECK(answer.err.starts_with("lossatlas: "));
  CHECK(answer.err.find('\n') == answer.err.size() - 1);
  for (const std::string& culprit : culprits) CHECK_THAT(answer.err, ContainsSubstring(culprit));
}

/// `options`, but for those that the wrong words give otherwise.
Words joined(const Words& command, const std::vector<std::array<std::string, 2>>& options, const Words& wrong) {
  Words words = command;
  for (const auto& [name, value] : options) {
    const auto gives = [&](const std::string& word) { return word == name || word.starts_with(name + "="); };
    if (std::none_of(wrong.begin(), wrong.end(), gives)) words.insert(words.end(), {name, value});
  }
  words.insert(words.end(), wrong.begin(), wrong.end());
  return words;
}

}  // namespace

TEST_CASE("commands and options that do not exist are named, with the nearest that does") {
  const TemporaryFolder said;
  for (const auto& [words, culprits] : std::vector<Wrong>{
           {{}, {"command"}},
           {{"surfcae"}, {"'surfcae'", "did you mean 'surface'"}},
           {{"info"}, {"--archs"}},
           {{"info", "--jsn", "x.h5"}, {"'--jsn'", "did you mean '--json'"}},
           {{"info", "one.h5", "two.h5"}, {"two.h5"}},
           {{"train", "--arch", "mlp"}, {"--data"}},
       }) {
    check_refused(said, words, culprits);
  }
}

TEST_CASE("wrong arguments of train") {
  const TemporaryFolder said, folder;
  const std::string out = folder / "run";
  for (const auto& [words, culprits] : std::vector<Wrong>{
           {{"--arch=resnet19"}, {"'resnet19'", "did you mean 'resnet"}},
           {{"--width=4"}, {"mlp", "width"}},
           {{"--data=cifar11:x"}, {"cifar11:x"}},
           {{"--data=synthetic:"}, {"synthetic:"}},
           {{"--data=synthetic:7"}, {"synthetic:7"}},
           {{"--optimizer=adamm"}, {"--optimizer", "adamm", "did you mean 'adam'"}},
           {{"--optimizer=adam", "--betas=0.9"}, {"--betas"}},
           {{"--optimizer=adam", "--rho=0.9"}, {"--rho", "rmsprop"}},
           {{"--optimizer=rmsprop", "--rho=1"}, {"--rho"}},
           {{"--optimizer=gd", "--momentum=0.5"}, {"--momentum"}},
           {{"--optimizer=nesterov", "--momentum=0"}, {"--momentum"}},
           {{"--optimizer=adagrad", "--momentum=0.5"}, {"--momentum"}},
           {{"--optimizer=adagrad", "--delta=0"}, {"--delta"}},
           {{"--momentum=1.5"}, {"--momentum"}},
           {{"--nesterov", "--momentum=0"}, {"--nesterov"}},
           {{"--lr=-1"}, {"--lr"}},
           {{"--lr=nan"}, {"--lr"}},
           {{"--momentum=nan"}, {"--momentum"}},
           {{"--weight-decay=-1"}, {"--weight-decay"}},
           {{"--weight-decay=nan"}, {"--weight-decay"}},
           {{"--lr-steps=5,3"}, {"--lr-steps", "5,3"}},
           {{"--optimizer=adamv"}, {"--optimizer", "adamv", "did you mean 'adam'"}},
           {{"--optimizer=adamw", "--momentum=0.9"}, {"--momentum", "sgd"}},
           {{"--optimizer=adamw", "--weight-decay=nan"}, {"--weight-decay"}},
           {{"--optimizer=adamw", "--betas=0.9,1"}, {"--betas 1"}},
           {{"--optimizer=adamw", "--eps=0"}, {"--eps"}},
           {{"--eps=1e-8"}, {"--eps", "adamw"}},
           {{"--lr-schedule=cosin"}, {"--lr-schedule", "cosin", "did you mean 'cosine'"}},
           {{"--lr-schedule="}, {"--lr-schedule"}},
           {{"--lr-schedule=cosine", "--lr-steps=3"}, {"--lr-steps", "--lr-schedule steps"}},
           {{"--lr-schedule=cosine", "--lr-factor=0.5"}, {"--lr-factor", "--lr-schedule steps"}},
           {{"--lr-schedule=cosine", "--epochs=0"}, {"--epochs 0", "--lr-epochs"}},
           {{"--lr-schedule=cosine", "--epochs=6", "--lr-epochs=5"}, {"--epochs 6", "--lr-epochs 5"}},
           {{"--lr-schedule=cosine", "--epochs=6", "--lr-epochs=5", "--resume"}, {"--epochs 6", "--lr-epochs 5"}},
           {{"--lr-schedule=cosine", "--lr-epochs=0"}, {"--lr-epochs"}},
           {{"--lr-schedule=cosine", "--lr-epochs=nan"}, {"--lr-epochs"}},
           {{"--lr-schedule=cosine", "--lr-epochs=5", "--warmup=5"}, {"--warmup 5", "--lr-epochs 5"}},
           {{"--lr-epochs=5"}, {"--lr-epochs", "--lr-schedule cosine"}},
           {{"--lr-schedule=steps", "--lr-epochs=5"}, {"--lr-epochs", "--lr-schedule cosine"}},
           {{"--warmup=1"}, {"--warmup 1", "--epochs 1"}},
           {{"--warmup=-1"}, {"--warmup", "-1"}},
           {{"--warmup=nan"}, {"--warmup", "nan"}},
           {{"--warmup=inf"}, {"--warmup", "inf"}},
           {{"--warmup=one"}, {"--warmup", "one"}},
           {{"--batch-size=0"}, {"--batch-size"}},
           {{"--epochs=two"}, {"--epochs"}},
           {{"--seed=-1"}, {"--seed"}},
           {{"--seed=18446744073709551616"}, {"--seed", "18446744073709551616", "18446744073709551615"}},
           {{"--seed=0x10"}, {"--seed", "0x10"}},
           {{"--epochs=99999999999999999999"}, {"--epochs", "99999999999999999999"}},
           {{"--threads=0"}, {"--threads"}},
           {{"--resume", "--force"}, {"--resume", "--force"}},
           {{"--classes=5"}, {"10 classes", "5"}},
       }) {
    check_refused(
        said,
        joined({"train"}, {{"--arch", "mlp"}, {"--data", "synthetic:40"}, {"--epochs", "1"}, {"--out", out}}, words),
        culprits);
    CHECK(std::filesystem::is_empty(folder.path()));
  }
}

TEST_CASE("wrong arguments of curvature") {
  const TemporaryFolder said, folder;
  const std::string problem = (std::filesystem::path(LOSSATLAS_TEST_FILES) / "curvature" / "smooth.lossatlas").string();
  for (const auto& [words, culprits] : std::vector<Wrong>{
           {{"--split", "both"}, {"--split", "both"}},
           {{"--top", "0", "--low", "0", "--trace", "0"},
            {"--top, --low, --trace, --density and --scale-curvature are 0"}},
           {{"--top", "-1"}, {"--top", "-1"}},
           {{"--operator", "fisher"}, {"--operator fisher: requires hessian or gauss-newton"}},
           {{"--by", "layer"}, {"--by", "layer"}},
           {{"--by", "module", "--trace", "0"}, {"--by module: requires --trace above 0"}},
           {{"--samples", "41"}, {"--samples 41", "40 samples"}},
           {{"--samples", "none"}, {"--samples", "none"}},
           {{"--samples", "0"}, {"--samples", "0"}},
           {{"--tolerance", "2"}, {"--tolerance 2: requires a number between 0 and 1"}},
           {{"--density-steps", "1"}, {"--density-steps", "1"}},
           {{"--threshold", "-1"}, {"--threshold", "-1"}},
           {{"--scale-curvature", "-1"}, {"--scale-curvature", "-1"}},
           {{"--step", "0.1"}, {"--step: requires --scale-curvature above 0"}},
           {{"--scale-curvature", "2", "--step", "nan"}, {"--step", "nan"}},
       }) {
    check_refused(said, joined({"curvature"}, {{"--problem", problem}, {"--out", folder / "c.h5"}}, words), culprits);
    CHECK(std::filesystem::is_empty(folder.path()));
  }
  check_refused(said, {"curvature", "--data", "synthetic:40", "--out", folder / "c.h5"}, {"--checkpoint is required"});
}

TEST_CASE("wrong arguments of surface") {
  const TemporaryFolder said, folder, trained;
  const std::string run_folder = trained / "run", out = folder / "s.h5";
  REQUIRE(
      run(said, {"train", "--arch", "mlp", "--data", "synthetic:200", "--epochs", "0", "--out", run_folder}).status ==
      0);
  const std::string checkpoint = run_folder + "/checkpoints/epoch-0000.pt";
  for (const auto& [words, culprits] : std::vector<Wrong>{
           {{"--gird", "5x5"}, {"'--gird'", "did you mean '--grid'"}},
           {{"--gird=5x5"}, {"'--gird'", "did you mean '--grid'"}},
           {{"--grid", "0x5"}, {"--grid", "0x5"}},
           {{"--grid", "5x"}, {"--grid", "5x"}},
           {{"--grid", "5,5"}, {"--grid", "5,5", "51x41"}},
           {{"--grid", "1"}, {"--grid 1", "--x 0:0"}},  // 1x1
           {{"--grid", "-3x4"}, {"--grid", "-3x4"}},
           {{"--x", "1:-1"}, {"--x", "1:-1", "backwards"}},
           {{"--y", "1:-1"}, {"--y", "1:-1", "backwards"}},
           {{"--x", "1"}, {"--x", "1"}},
           {{"--x", "nan:1"}, {"--x", "nan:1"}},
           {{"--x", "0:0"}, {"--x", "0:0"}},
           {{"--x", "-1e308:1e308"}, {"--x", "-1e308:1e308", "51 different finite numbers"}},
           {{"--y", "1e308:1.5e308"}, {"--y", "1e308:1.5e308"}},
           {{"--y", "1:1.0000000000000002"}, {"--y", "1:1.0000000000000002"}},
           {{"--grid", "1x1"}, {"--grid 1x1", "--x 0:0"}},
           {{"--grid", "1x3", "--x=0:0", "--y=1:1.0000000000000002"}, {"--y", "3 different"}},
           {{"--norm", "filtre"}, {"--norm", "filtre"}},
           {{"--ignore", "weights"}, {"--ignore", "weights"}},
           {{"--split", "valid"}, {"--split", "valid"}},
           {{"--loss", "hinge"}, {"--loss", "hinge"}},
           {{"--samples", "0"}, {"--samples"}},
           {{"--bn", "recalibrated"}, {"--bn", "recalibrated"}},
           {{"--samples", "201"}, {"--samples 201", "200 images"}},
           {{"--samples", "0201"}, {"--samples 201", "200 images"}},  // decimal, whatever it begins with
           {{"--samples", "9223372036854775808"}, {"--samples", "9223372036854775808"}},
           {{"--samples", "1.5"}, {"--samples", "1.5"}},
           {{"--budget", "1e3"}, {"--budget", "1e3"}},
           {{"--mean", "1,2"}, {"--mean", "1,2"}},
           {{"--std", "1,0,1"}, {"--std", "1,0,1"}},
           {{"--mean", "125.3,123,113.9"}, {"--mean", "125.3", "0 … 1"}},
           {{"--mean", "0.5,-0.1,0.5"}, {"--mean", "-0.1"}},
           {{"--std", "63,62.1,66.7"}, {"--std", "63", "0 … 1"}},
           {{"--device", "tpu"}, {"--device", "tpu"}},
           {{"--arch", "resnet21"}, {"'resnet21'", "did you mean 'resnet2"}},
           {{"extra"}, {"'extra'"}},
           {{"--grid", "5", "5"}, {"'5' after '--grid 5'", "one value"}},
           {{"--x", "-1", "1"}, {"'1' after '--x -1'", "one value"}},
           {{"--threads"}, {"--threads requires a value"}},
           {{"--shard", "17/16"}, {"--shard 17/16", "N from 1 to COUNT, as in 3/16"}},
           {{"--shard", "0/4"}, {"--shard 0/4"}},
           {{"--shard", "x"}, {"--shard x"}},
           {{"--shard=3"}, {"--shard 3"}},
           {{"--shard", "1/1302"}, {"--shard 1/1302", "2601 points", "at most 1301 shards"}},
           {{"--shard", "1/10", "--grid", "3"}, {"--shard 1/10", "9 points"}},
           {{"--shard", "1/19", "--grid", "3", "--repeat", "2"}, {"--shard 1/19", "18 points"}},
           {{"--shard", "1/2", "--tolerance", "0.01"}, {"--tolerance", "--shard"}},
           {{"--step", "0"}, {"--step", "0"}},
           {{"--step=-1"}, {"--step", "-1"}},
           {{"--step", "nan"}, {"--step", "nan"}},
           {{"--step", "inf"}, {"--step", "inf"}},
           {{"--step", "wide"}, {"--step", "wide"}},
           {{"--scale-curvature", "0"}, {"--scale-curvature", "0"}},
           {{"--scale-curvature", "2", "--tolerance", "0.01"}, {"--tolerance", "--scale-curvature"}},
           {{"--shard", "1/2", "--budget", "100000"}, {"--budget", "--shard"}},
           {{"--shard", "1/2", "--save-directions", folder / "d.h5"}, {"--shard", "--save-directions"}},
           {{"--join"}, {"--join is gone", "mpirun", "--shard"}},
       }) {
    check_refused(
        said, joined({"surface"}, {{"--checkpoint", checkpoint}, {"--data", "synthetic:200"}, {"--out", out}}, words),
        culprits);
    CHECK(std::filesystem::is_empty(folder.path()));
  }
}

TEST_CASE("wrong arguments of shards and of merge") {
  const TemporaryFolder said, folder;
  const std::string out = folder / "s.h5";
  check_refused(said, {"surface", "--checkpoint", "c.pt", "--data", "synthetic:40", "--shard", "slurm", "--out", out},
                {"--shard slurm", "SLURM_ARRAY_TASK_ID is not set"});
  check_refused(said, {"line", "--checkpoint", "c.pt", "--data", "synthetic:40", "--shard", "1/52", "--out", out},
                {"--shard 1/52", "51 points"});
  check_refused(said, {"trajectory", "--run", "run", "--data", "synthetic:40", "--shard", "1/2", "--out", out},
                {"--shard", "a trajectory"});
  check_refused(said,
                {"curve", "--from", "a.pt", "--to", "b.pt", "--data", "synthetic:40", "--shard", "1/2", "--out", out},
                {"--shard", "a curve"});
  check_refused(said, {"merge"}, {"files"});
  check_refused(said, {"merge", "s-1-of-2.h5"}, {"--out"});
  check_refused(said, {"merge", out, "--out", out}, {"--out", "would be read and written"});
  CHECK(std::filesystem::is_empty(folder.path()));
}
