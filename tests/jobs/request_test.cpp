// Requests and settings as JSON, from one declaration of their fields.
#include "jobs/request.h"

#include <nlohmann/json.hpp>
#include <string>

#include "catch.h"
#include "surface/schema.h"
#include "surface/settings.h"

using namespace lossatlas;
using nlohmann::json;
using Names = std::vector<std::string>;

TEST_CASE("a request comes back from its JSON") {
  SurfaceRequest request;
  request.landscape.checkpoint = "run/checkpoints/epoch-0003.pt";
  request.landscape.data.mean = {0.5, 0.25, 0.125};
  request.landscape.extras.weight_decay = 5e-4;
  request.plane.source = PlaneSource::points;
  request.plane.files = {"a.pt", "b.pt"};
  request.ranges["x"] = {-1.5, 2};
  request.tolerance = 0.01;
  const json written = json_of(request);
  CHECK(written.at("checkpoint") == "run/checkpoints/epoch-0003.pt");
  CHECK(written.at("mean") == json({0.5, 0.25, 0.125}));
  CHECK(written.at("l2") == 5e-4);
  CHECK(written.at("plane") == "points");
  CHECK(written.at("grid") == json({51}));
  CHECK(written.at("axes") == 2);
  CHECK(written.at("ranges") == json{{"x", {-1.5, 2.0}}});
  const auto read = from_json_of<SurfaceRequest>(written);
  CHECK(json_of(read) == written);
  CHECK(read.plane.source == PlaneSource::points);
  CHECK(!read.ranges.contains("y"));
}

TEST_CASE("a curvature's request comes back from its JSON") {
  CurvatureRequest request;
  request.matrix = "gauss-newton";
  request.parameters = {"layer4.*", "fc.*"};
  const json written = json_of(request);
  CHECK(written.at("operator") == "gauss-newton");
  CHECK(written.at("samples") == -1000);
  CHECK(json_of(from_json_of<CurvatureRequest>(written)) == written);
}

TEST_CASE("the fields of requests that differ are named") {
  const TrainRequest first;
  TrainRequest second;
  CHECK(difference(first, second).empty());
  second.optimizer.name = "adam";
  second.schedule.drops = {3};
  second.seed = 1;
  CHECK(difference(first, second) == Names{"lr_steps", "optimizer", "seed"});
  LineRequest with_range;
  with_range.x = {0, 1};
  CHECK(difference(LineRequest(), with_range) == Names{"x"});
}

TEST_CASE("what is missing keeps its default, and so does what is of another type") {
  const auto request = from_json_of<CurveRequest>(json{{"bends", 3}, {"lr", "fast"}, {"unheard_of", 1}});
  CHECK(request.bends == 3);
  CHECK(request.learning_rate == 0.015);
  CHECK(request.landscape.split == "both");
}

TEST_CASE("settings of files come back byte for byte, those of format 1 as the present one has them") {
  // A surface in levels, one through three checkpoints and one of two repeats, as version 0.1 wrote them.
  for (const std::string text : {
           R"({"arch":"resnet20","batch_size":128,"bn":"stored","bn_images":null,"bn_layers":21,)"
           R"("budget":null,"checkpoint":{"file":"epoch-0002.pt",)"
           R"("sha256":"30f06fc177be537179b0e962b7c6cd15571a314639e0c113109594ac0113492f"},"classes":10,)"
           R"("cosine":-0.05610071864017474,"data":"synthetic:200","device":"cpu","dir_type":"weights",)"
           R"("distribution":"gaussian","dtype":"fp32","engine":"fused","grid":[9,9],"ignore":"bias,bn",)"
           R"("instruction_set":"avx512","kind":"surface","l2":null,"lengths":[6.241142032359196,)"
           R"(6.241142033923922],"levels":[64,200],"libtorch":"2.11.0","loss":"cross-entropy","mean":[0.5,)"
           R"(0.5,0.5],"more":[],"normalization":"filter","orthogonal":false,"plane":"random","repeat":1,)"
           R"("sample_seed":0,"samples":200,)"
           R"("samples_sha256":"ac2fce0215287063ec3b887089b5e49b0fd3621b5229498af8b680fb0c65164b","seed":0,)"
           R"("split":"train","std":[0.25,0.25,0.25],"subsets":"balanced in strata","tolerance":0.2,)"
           R"("width":2,"x":[-1.0,1.0],"y":[-1.0,1.0]})",
           R"({"arch":"resnet20","batch_size":128,"bn":"recalibrate","bn_engine":"fused","bn_images":20,)"
           R"("bn_images_sha256":"83c349731a952eadad72b044b5622d6cb16d4cbf9c0a6ce934224ee8f46531f6",)"
           R"("bn_layers":21,"budget":null,"checkpoint":{"file":"epoch-0002.pt",)"
           R"("sha256":"30f06fc177be537179b0e962b7c6cd15571a314639e0c113109594ac0113492f"},"classes":10,)"
           R"("cosine":-5.086351209206001e-10,"data":"synthetic:200","device":"cpu","dir_type":"states",)"
           R"("dtype":"fp32","engine":"fused","grid":[3,3],"instruction_set":"avx512","kind":"surface",)"
           R"("l2":null,"lengths":[8.870700473911057,8.870700478674117],"levels":null,"libtorch":"2.11.0",)"
           R"("loss":"cross-entropy","mean":[0.5,0.5,0.5],"more":[],"plane":"points",)"
           R"("points":[{"file":"epoch-0002.pt",)"
           R"("sha256":"30f06fc177be537179b0e962b7c6cd15571a314639e0c113109594ac0113492f"},)"
           R"({"file":"epoch-0001.pt",)"
           R"("sha256":"d659df6ab5b884cdb6047cb8b54dfdb6602990bee5727ada1e685947f2222686"},)"
           R"({"file":"epoch-0000.pt",)"
           R"("sha256":"b781bc03210f6e896129609db810149a20bb23c8deab30e546f5f7a403d9f71d"}],"repeat":1,)"
           R"("sample_seed":null,"samples":200,)"
           R"("samples_sha256":"2d0451f087e461b82db5a35d49d5693adc6d0e70bed21de8b326c533a7c481c8",)"
           R"("split":"train","std":[0.25,0.25,0.25],"subsets":null,"tolerance":null,"width":2,"x":[-0.2,)"
           R"(1.2],"y":[-0.04076848639699038,0.24461091838194227]})",
           R"({"arch":"resnet20","batch_size":128,"bn":"stored","bn_images":null,"bn_layers":21,)"
           R"("budget":null,"checkpoint":{"file":"epoch-0002.pt",)"
           R"("sha256":"30f06fc177be537179b0e962b7c6cd15571a314639e0c113109594ac0113492f"},"classes":10,)"
           R"("cosine":[-0.05610071864017474,-0.08718706916486643],"data":"synthetic:200","device":"cpu",)"
           R"("dir_type":"weights","distribution":"gaussian","dtype":"fp32","engine":"fused","grid":[3,3],)"
           R"("ignore":"bias,bn","instruction_set":"avx512","kind":"surface","l2":0.1,)"
           R"("lengths":[[6.241142032359196,6.241142033923922],[6.2411420272186335,6.241142022284316]],)"
           R"("levels":null,"libtorch":"2.11.0","loss":"cross-entropy","mean":[0.5,0.5,0.5],)"
           R"("more":["train_acc_top5","test_loss","test_loss_se","test_acc","test_acc_se","test_images",)"
           R"("test_acc_top5","l2"],"normalization":"filter","orthogonal":false,"plane":"random","repeat":2,)"
           R"("sample_seed":0,"samples":60,)"
           R"("samples_sha256":"927bbb4c35d4cf0179a5127f4c28e1f806a441b292ded9034e04692e8b048c86","seed":0,)"
           R"("split":"both","std":[0.25,0.25,0.25],"subsets":null,"test_samples":50,)"
           R"("test_samples_sha256":"f06179e212f0e8d3e9b690306f89acc31d94b8cab4fb71b11644fc91d35eb191",)"
           R"("tolerance":null,"width":2,"x":[-1.0,1.0],"y":[-1.0,1.0]})",
       }) {
    const json before = json::parse(text), settings = upgraded(before);
    CHECK(json_of(from_json_of<Settings>(settings)).dump() == settings.dump());
    CHECK(settings.at("axes").at(0).at("points") == before.at("grid").at(0));
    CHECK(settings.at("axes").at(1).at("high") == before.at("y").at(1));
    CHECK(settings.at("measures").at(1) == "train_acc");
    for (const auto& [key, value] : before.items()) {
      if (key != "grid" && key != "x" && key != "y" && key != "more") CHECK(settings.at(key) == value);
    }
  }
}

TEST_CASE("settings that older files lack are read as those files were made") {
  const Settings settings = settings_from(json::object());
  CHECK(settings.kind == "surface");
  CHECK(settings.dir_type == "weights");
  CHECK(settings.distribution == "gaussian");
  CHECK(settings.orthogonal == false);
  CHECK(!settings.plane);
  CHECK(std::string(key_of(&Settings::bn_layers)) == "bn_layers");
}
