"""`segmoe doctor`: what is here, what is missing, and the command that mends it."""

from dataclasses import asdict

from napari_segmoe.cli import console, options


def doctor(as_json: options.AsJson = False) -> None:
    """Check versions, device, codecs, readers, window and folders."""
    from napari_segmoe.cli.doctor_checks import run_checks

    findings = run_checks()
    if as_json:
        console.show_json([asdict(finding) for finding in findings])
        return
    rows = [
        (finding.name, "ok" if finding.ok else "MISSING", finding.found, finding.mend)
        for finding in findings
    ]
    console.show_table("segmoe doctor", ("what", "", "found", "to mend it"), rows)
