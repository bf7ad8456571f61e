"""`keep_faces: false`: what pictures of faces a finished run deletes."""

from refacebench.run import forgetting


class Run:
    """As much of a run as is asked: one dataset without attackers and models."""

    datasets = ("mine",)
    trainings = ()

    @staticmethod
    def attack_files(dataset):
        return []

    @staticmethod
    def contrast_attacks(dataset):
        return []


def test_pages_for_quality_control_of_an_earlier_run_go_and_others_stay(tmp_path):
    results = tmp_path / "results"
    for name in ("qc/mine/a/pictures/x_face.jpg", "qc/mine/index.html", "qc/other/index.html",
                 "tables/mine/qc.tsv"):  # fmt: skip
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text("x")
    forgetting.delete_faces(Run(), results)
    kept = sorted(p.relative_to(results).as_posix() for p in results.rglob("*") if p.is_file())
    assert kept == ["plan/forgotten.txt", "qc/other/index.html", "tables/mine/qc.tsv"]
