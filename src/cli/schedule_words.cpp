#include "cli/schedule_words.h"

#include "base/error.h"
#include "cli/inputs.h"
#include "cli/words.h"

namespace lossatlas {

void ScheduleWords::add_to(CLI::App& command, const std::string& unit) {
  command
      .add_option("--lr-schedule", words_.name,
                  "steps: constant, or dropping at --lr-steps; cosine: falling to 0 along half a cosine")
      ->capture_default_str();
  drops_option_ =
      command
          .add_option("--lr-steps", drops_,
                      unit + " after which the rate is multiplied by --lr-factor, as in 150,225 (default: none)")
          ->type_name("LIST");
  factor_option_ = command.add_option("--lr-factor", words_.drop_factor, "factor of the rate at --lr-steps")
                       ->check(above_zero())
                       ->capture_default_str();
  command
      .add_option("--warmup", words_.warmup,
                  unit + " over which the rate first rises linearly from near 0; fractions are allowed")
      ->check(not_negative())
      ->capture_default_str();
}

RateSchedule ScheduleWords::schedule() const {
  RateSchedule schedule = words_;
  check_name(schedule);
  schedule.drops = parse_times("--lr-steps", drops_);
  for (const CLI::Option* option : {drops_option_, factor_option_}) {
    if (option->count() == 0 || schedule.name == "steps") continue;
    throw UsageError("{} requires --lr-schedule steps", option->get_name());
  }
  return schedule;
}

}  // namespace lossatlas
