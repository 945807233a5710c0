#include "jobs/convert.h"

#include <memory>

#include "cli/command.h"
#include "cli/fields.h"
#include "cli/message.h"

namespace lossatlas {
namespace {

int convert_file(const ConvertRequest& request) {
  for (const std::string& note : convert(request)) print_message("note: " + with_options(note));
  print_line(request.out.string());
  return kDone;
}

}  // namespace

void add_convert(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("convert", "Write a checkpoint as .safetensors or .pt, bit for bit");
  const auto request = std::make_shared<ConvertRequest>();
  command->add_option("in", request->in, "a checkpoint: .pt, .pth, .ckpt, .safetensors, or the index of several files")
      ->required()
      ->type_name("IN");
  command->add_option("out", request->out, "the file to write: .safetensors, .pt, .pth, .ckpt or .bin")
      ->required()
      ->type_name("OUT");
  command->option_defaults()->group("What is written");
  command->add_option("--key", request->key, "the entry that holds the weights (default: the usual names)")
      ->type_name("NAME");
  command->option_defaults()->group("Output");
  command->add_flag("--force", request->force, "replace OUT");
  command->callback([request, &context] { context.status = convert_file(*request); });
}

}  // namespace lossatlas
