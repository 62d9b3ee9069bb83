{{/* The definition that a file of files/crds holds: its file is called GROUP_PLURAL.yaml, it is called PLURAL.GROUP. */}}
{{- define "sluice-base.name" -}}
{{- $parts := base . | trimSuffix ".yaml" | splitList "_" -}}
{{- printf "%s.%s" (index $parts 1) (index $parts 0) -}}
{{- end }}

{{/*
Whether a definition is in the cluster and not of this release. `helm template` has no cluster to look at: nothing is
foreign then.
*/}}
{{- define "sluice-base.isForeign" -}}
{{- with lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" .name -}}
{{- $annotations := .metadata.annotations | default dict -}}
{{- $release := printf "%s/%s" (index $annotations "meta.helm.sh/release-namespace" | default "") (index $annotations "meta.helm.sh/release-name" | default "") -}}
{{- if ne $release (printf "%s/%s" $.root.Release.Namespace $.root.Release.Name) -}}true{{- end -}}
{{- end -}}
{{- end }}

{{/* Names of foreign definitions that are left as they are, separated by spaces. */}}
{{- define "sluice-base.skipped" -}}
{{- if and .Values.base.enableCRDTemplates (eq .Values.base.existingCRDs "skip") -}}
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" -}}
{{- $name := include "sluice-base.name" $path -}}
{{- if and (not (has $name $.Values.base.excludedCRDs)) (include "sluice-base.isForeign" (dict "root" $ "name" $name)) }} {{ $name }}{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
