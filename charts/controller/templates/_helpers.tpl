{{/* Names, labels and parts of the pod. Only what more than one template needs, or what would hide the pod's shape. */}}

{{/* A number or a boolean as people wrote it. Numbers from files are floats, which would come out as 2.0240101e+07. */}}
{{- define "sluice-controller.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}{{ int64 . }}{{- else -}}{{ toString . }}{{- end -}}
{{- end }}

{{/* Labels and annotations are text, whatever they look like. Nothing for an empty map. */}}
{{- define "sluice-controller.texts" -}}
{{- range $key, $value := . }}
{{ $key | quote }}: {{ include "sluice-controller.text" $value | quote }}
{{- end }}
{{- end }}

{{- define "sluice-controller.name" -}}
{{- .Values.name | default .Release.Name -}}
{{- end }}

{{/* For objects without a namespace: two installations must not share one. */}}
{{- define "sluice-controller.clusterName" -}}
{{- printf "%s-%s" (include "sluice-controller.name" .) .Release.Namespace -}}
{{- end }}

{{/* Never `istiod` or `istio: pilot`: Istio's own Service, if there is one, would choose these pods. */}}
{{- define "sluice-controller.selectorLabels" -}}
app: {{ include "sluice-controller.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/*
Merged as maps: a label that is given twice would be refused by the API server. Never istio.io/rev, but on pods: Istio, if
it is there, looks after every ValidatingWebhookConfiguration with that label and its revision.
*/}}
{{- define "sluice-controller.labels" -}}
{{- $labels := dict
  "app.kubernetes.io/name" "sluice-controller"
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/part-of" "sluice"
  "app.kubernetes.io/component" "controller"
  "app.kubernetes.io/version" .Chart.AppVersion
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
-}}
{{- range $key, $value := .Values.labels }}
{{- $_ := set $labels $key (include "sluice-controller.text" $value) }}
{{- end }}
{{- toYaml (mergeOverwrite $labels (include "sluice-controller.selectorLabels" . | fromYaml)) }}
{{- end }}

{{/* The version is left out: pods must not roll because of a label. */}}
{{- define "sluice-controller.podLabels" -}}
{{- $labels := omit (include "sluice-controller.labels" . | fromYaml) "helm.sh/chart" "app.kubernetes.io/version" -}}
{{- /* Istio, if it is there, must not put a proxy into this pod. */ -}}
{{- toYaml (mergeOverwrite $labels (dict
  "istio.io/rev" "default"
  "sidecar.istio.io/inject" "false"
  "istio.io/dataplane-mode" "none")) }}
{{- end }}

{{- define "sluice-controller.annotations" -}}
{{- include "sluice-controller.texts" .Values.annotations | trim -}}
{{- end }}

{{- define "sluice-controller.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "sluice-controller.name" .) "default") -}}
{{- end }}

{{- define "sluice-controller.image" -}}
{{- $hub := .Values.image.hub | default .Values.global.hub -}}
{{- $name := empty $hub | ternary .Values.image.name (printf "%s/%s" (trimSuffix "/" $hub) .Values.image.name) -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.Values.image.tag | default .Values.global.tag | default .Chart.AppVersion | include "sluice-controller.text") -}}
{{- end -}}
{{- end }}

{{- define "sluice-controller.imagePullSecrets" -}}
{{- $names := list -}}
{{- range concat .Values.global.imagePullSecrets .Values.imagePullSecrets }}
{{- $names = append $names (kindIs "map" . | ternary (get (kindIs "map" . | ternary . dict) "name") .) }}
{{- end }}
{{- range uniq $names }}
- name: {{ . }}
{{- end }}
{{- end }}

{{- define "sluice-controller.openshift" -}}
{{- if eq "openshift" (.Values.platform | default .Values.global.platform | default "") }}yes{{ end }}
{{- end }}

{{/*
"yes" if an object is to be made: {root, switch, kind, name}. A switch on "auto" gives way to an object of the same name
that another release, or nobody's release, has made. Without a cluster (helm template) nothing is there to give way to.
*/}}
{{- define "sluice-controller.makes" -}}
{{- $namespace := .root.Release.Namespace -}}
{{- if eq (toString .switch) "true" -}}
yes
{{- else if eq (toString .switch) "auto" -}}
{{- $found := lookup "v1" .kind $namespace .name -}}
{{- $owner := ($found.metadata).annotations | default dict -}}
{{- $ours := and (eq (get $owner "meta.helm.sh/release-name") .root.Release.Name) (eq (get $owner "meta.helm.sh/release-namespace") $namespace) -}}
{{- if or (empty $found) $ours -}}
yes
{{- end -}}
{{- end -}}
{{- end }}

{{- define "sluice-controller.makesAlias" -}}
{{- if ne "istiod" (include "sluice-controller.name" .) -}}
{{- include "sluice-controller.makes" (dict "root" . "switch" .Values.istiodAlias "kind" "Service" "name" "istiod") -}}
{{- end -}}
{{- end }}

{{/* Every name that the serving certificate must be good for. */}}
{{- define "sluice-controller.discoveryNames" -}}
{{- $domain := (.Values.global.proxy).clusterDomain | default "cluster.local" -}}
{{- $services := list (include "sluice-controller.name" .) -}}
{{- if include "sluice-controller.makesAlias" . }}
{{- $services = append $services "istiod" }}
{{- end }}
{{- $names := list -}}
{{- range $services }}
{{- $base := printf "%s.%s" . $.Release.Namespace }}
{{- $names = concat $names (list (printf "%s.svc" $base) (printf "%s.svc.%s" $base $domain) $base) }}
{{- end }}
{{- join "," $names -}}
{{- end }}

{{- define "sluice-controller.servicePorts" -}}
# Istio's names. There is no plaintext 15010.
- name: https-dns
  port: 15012
  targetPort: 15012
  protocol: TCP
- name: https-webhook
  port: 443
  targetPort: 15017
  protocol: TCP
- name: http-monitoring
  port: 15014
  targetPort: 15014
  protocol: TCP
{{- end }}

{{/* The container's environment: the chart's entries, then the user's; a name stands once, and the user's wins. */}}
{{- define "sluice-controller.env" -}}
{{- $taken := keys .Values.env -}}
{{- $from := list -}}
{{- range .Values.envVarFrom }}{{ $from = append $from .name }}{{ end }}
{{- $taken = concat $taken $from }}
{{- $entries := list
  (dict "name" "SLUICE_CLUSTER_ID" "value" ((.Values.global.multiCluster).clusterName | default "Kubernetes"))
  (dict "name" "SLUICE_DISCOVERY_NAMES" "value" (include "sluice-controller.discoveryNames" .))
  (dict "name" "SLUICE_LOG" "value" .Values.log.level)
  (dict "name" "SLUICE_LOG_FORMAT" "value" .Values.log.format)
-}}
{{- if .Values.webhook.enabled }}
{{- $entries = append $entries (dict "name" "SLUICE_WEBHOOK_NAME" "value" (include "sluice-controller.clusterName" .)) }}
{{- end }}
{{- if .Values.rbac.create }}
{{- $entries = append $entries (dict "name" "SLUICE_OWNER" "value" (include "sluice-controller.clusterName" .)) }}
{{- end }}
{{- with .Values.trustDomain }}
{{- $entries = append $entries (dict "name" "SLUICE_TRUST_DOMAIN" "value" .) }}
{{- end }}
{{- with .Values.limits }}
{{- $settings := list }}
{{- range $name, $value := . }}{{ $settings = append $settings (printf "%s=%s" $name (include "sluice-controller.text" $value)) }}{{ end }}
{{- $entries = append $entries (dict "name" "SLUICE_LIMITS" "value" (join "," $settings)) }}
{{- end }}
{{- range $name, $path := dict
  "POD_NAME" "metadata.name"
  "POD_NAMESPACE" "metadata.namespace"
  "SERVICE_ACCOUNT" "spec.serviceAccountName"
}}
{{- $entries = append $entries (dict "name" $name "valueFrom" (dict "fieldRef" (dict "apiVersion" "v1" "fieldPath" $path))) }}
{{- end }}
{{- range $entries }}
{{- if not (has .name $taken) }}
- {{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- end }}
{{- range .Values.envVarFrom }}
- {{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- range $name, $value := .Values.env }}
{{- if not (has $name $from) }}
- name: {{ $name | quote }}
  value: {{ include "sluice-controller.text" $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Without one of the user's: pods over nodes and zones, as far as there are any. */}}
{{- define "sluice-controller.topologySpreadConstraints" -}}
{{- if kindIs "invalid" .Values.topologySpreadConstraints }}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "sluice-controller.selectorLabels" $ | nindent 6 }}
{{- end }}
{{- else }}
{{- with .Values.topologySpreadConstraints }}{{ toYaml . }}{{ end }}
{{- end }}
{{- end }}

{{/* Mistakes that a schema cannot see. */}}
{{- define "sluice-controller.check" -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}
{{- fail "controller: autoscaling.minReplicas is greater than autoscaling.maxReplicas" }}
{{- end }}
{{- if gt (len (include "sluice-controller.name" .)) 63 }}
{{- fail "controller: the name (values.name or the release name) is a label value and may have 63 characters" }}
{{- end }}
{{- end }}
